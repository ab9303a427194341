use std::time::Duration;

/// Someone who sees every message, to log it or to draw it later.
pub trait Observer {
    /// A message was sent.
    fn sent(&mut self, _: &Sighting<'_>) {}

    /// A message has arrived.
    fn received(&mut self, _: &Sighting<'_>) {}
}

/// Nobody watches.
impl Observer for () {}

/// A message that was seen.
#[derive(Clone, Copy, Debug)]
pub struct Sighting<'a> {
    /// When, by the driver's time.
    pub at: Duration,
    /// The message's number.
    pub id: u64,
    /// Who sent it.
    pub src: &'a str,
    /// To whom it goes.
    pub dest: &'a str,
    /// The JSON of its body.
    pub body: &'a [u8],
}
