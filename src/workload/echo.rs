use serde::Deserialize;
use serde_json::value::RawValue;

use super::required;
use crate::node::{Context, Workload};
use crate::protocol::{Error, Message, present};

/// Sends back what it is sent.
///
/// `echo{echo} → echo_ok{echo}`, where `echo` is any JSON, returned byte for byte.
pub struct Echo;

/// What an `echo` holds.
#[derive(Default, Deserialize)]
pub struct Fields<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    echo: Option<&'a RawValue>,
}

impl Workload for Echo {
    type Fields<'a> = Fields<'a>;

    fn request(
        &mut self,
        request: &Message<'_, Fields<'_>>,
        context: &mut Context<'_>,
    ) -> Result<(), Error> {
        let body = &request.body;
        if body.kind != "echo" {
            return Err(Error::not_supported(&body.kind));
        }
        let echo = required(body.fields.echo, "echo")?;
        context.outbox.reply(request, "echo_ok").field("echo", echo);
        Ok(())
    }
}
