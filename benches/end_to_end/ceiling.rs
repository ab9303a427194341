//! The straight loop: the least that a node can do, as fast as we can write it. It is what the benches compare with.
//! It reads a block, finds the newlines, parses each line once into a borrowed struct, and writes the answers of a
//! block at once. It knows the three requests of the benches, checks nothing, counts in memory, and never waits for
//! anything but its input.

use std::io::{self, Read, Write};

use eddy::protocol::Encode;
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct Request<'a> {
    src: &'a str,
    dest: &'a str,
    #[serde(borrow)]
    body: Body<'a>,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    msg_id: u64,
    delta: Option<u64>,
    #[serde(borrow)]
    echo: Option<&'a RawValue>,
}

/// Answers requests from standard input until it ends.
pub fn run() -> io::Result<()> {
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    let mut block = vec![0; 64 << 10];
    let mut answers = Vec::with_capacity(128 << 10);
    let mut unfinished = 0;
    let mut total = 0;
    loop {
        let count = input.read(&mut block[unfinished..])?;
        if count == 0 {
            return Ok(());
        }
        let filled = unfinished + count;
        let newline = block[..filled].iter().rposition(|byte| *byte == b'\n');
        let complete = newline.map_or(0, |at| at + 1);
        let text = str::from_utf8(&block[..complete]).map_err(io::Error::other)?;
        for line in text.split_terminator('\n') {
            if let Ok(request) = serde_json::from_str::<Request>(line) {
                answer(&request, &mut total, &mut answers);
            }
        }
        output.write_all(&answers)?;
        output.flush()?;
        answers.clear();
        block.copy_within(complete..filled, 0);
        unfinished = filled - complete;
    }
}

fn answer(request: &Request, total: &mut u64, out: &mut Vec<u8>) {
    let (kind, field) = match request.body.kind {
        "echo" => ("echo_ok", ",\"echo\":"),
        "add" => ("add_ok", ""),
        "read" => ("read_ok", ",\"value\":"),
        _ => return,
    };
    for part in [
        "{\"src\":\"",
        request.dest,
        "\",\"dest\":\"",
        request.src,
        "\",\"body\":{\"type\":\"",
        kind,
        "\",\"in_reply_to\":",
    ] {
        out.extend_from_slice(part.as_bytes());
    }
    request.body.msg_id.encode(out);
    out.extend_from_slice(field.as_bytes());
    *total += request.body.delta.unwrap_or(0);
    match request.body.echo {
        Some(echo) => out.extend_from_slice(echo.get().as_bytes()),
        None if kind == "read_ok" => total.encode(out),
        None => {}
    }
    out.extend_from_slice(b"}}\n");
}
