use alloc::{vec, vec::Vec};
use core::{fmt, str};

/// The longest line that is read by default: 1 MiB.
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// At most this much is read at once.
const READ_BYTES: usize = 64 << 10;

/// Cuts bytes into lines.
///
/// Fill [`space`](Self::space), say how much with [`filled`](Self::filled), take the complete lines with
/// [`lines`](Self::lines). What is left of an unfinished line waits for its rest. The buffer grows only for a line
/// that needs it, and never beyond the limit of a line and one read.
///
/// ```
/// let mut reader = eddy::protocol::LineReader::new(100);
/// reader.space()[..9].copy_from_slice(b"one\ntwo\nt");
/// reader.filled(9);
/// let lines: Vec<_> = reader.lines().collect();
/// assert_eq!(lines, [Ok("one"), Ok("two")]);
/// ```
pub struct LineReader {
    buffer: Vec<u8>,
    /// `buffer[start..end]` is read and not yet taken.
    start: usize,
    end: usize,
    /// `buffer[start..searched]`, if there is such a part, holds no newline: a long line that comes in small pieces is
    /// looked through once.
    searched: usize,
    line_bytes_max: usize,
    /// The rest of a line that was too long is being thrown away.
    skipping: bool,
}

/// Why a line can't be given out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LineError<'a> {
    /// Longer than the limit, in bytes; it is skipped to its end.
    TooLong(usize),
    /// Not UTF-8: the line as it is.
    NotUtf8(&'a [u8]),
}

impl fmt::Display for LineError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LineError::TooLong(line_bytes_max) => {
                write!(
                    f,
                    "the line is longer than {line_bytes_max} bytes; it is skipped to its end"
                )
            }
            LineError::NotUtf8(_) => write!(f, "the line is not UTF-8"),
        }
    }
}

impl core::error::Error for LineError<'_> {}

impl LineReader {
    /// A reader of lines of at most `line_bytes_max` bytes, the newline not counted.
    pub fn new(line_bytes_max: usize) -> Self {
        LineReader {
            buffer: vec![0; 2 * READ_BYTES],
            start: 0,
            end: 0,
            searched: 0,
            line_bytes_max,
            skipping: false,
        }
    }

    /// Where the next bytes go. Never empty once the lines at hand have been taken.
    pub fn space(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end, self.searched) = (0, 0, 0);
        } else if self.end + READ_BYTES > self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            self.searched = self.searched.saturating_sub(self.start);
            (self.start, self.end) = (0, self.end - self.start);
            if self.end + READ_BYTES > self.buffer.len() {
                let most = self.line_bytes_max.saturating_add(READ_BYTES);
                let doubled = most.min(2 * self.buffer.len());
                self.buffer.resize(doubled.max(self.buffer.len()), 0);
            }
        }
        let until = self.buffer.len().min(self.end + READ_BYTES);
        &mut self.buffer[self.end..until]
    }

    /// Says that the first `count` bytes of [`space`](Self::space) have been filled.
    pub fn filled(&mut self, count: usize) {
        assert!(
            count <= self.buffer.len() - self.end,
            "more bytes filled than there was space for"
        );
        self.end += count;
    }

    /// The complete lines at hand, without their newlines. Those not taken are there again at the next call.
    pub fn lines(&mut self) -> Lines<'_> {
        let bytes = &self.buffer[self.start..self.end];
        let searched = self.searched.saturating_sub(self.start);
        let newline = bytes[searched..].iter().rposition(|&byte| byte == b'\n');
        let complete = newline.map_or(0, |newline| searched + newline + 1);
        if complete == 0 {
            self.searched = self.end;
        }
        let unfinished_bytes = bytes.len() - complete;
        let mut lines = Lines {
            text: "",
            bytes: &bytes[..complete],
            start: &mut self.start,
            skipping: &mut self.skipping,
            line_bytes_max: self.line_bytes_max,
            cut: None,
        };
        if *lines.skipping && complete == 0 {
            *lines.start += unfinished_bytes;
        } else if unfinished_bytes > self.line_bytes_max {
            lines.cut = Some(unfinished_bytes);
        }
        lines
    }

    /// The last line, when the input has ended without a newline.
    pub fn rest(&mut self) -> Option<Result<&str, LineError<'_>>> {
        let rest = &self.buffer[self.start..self.end];
        self.start = self.end;
        if rest.is_empty() || core::mem::take(&mut self.skipping) {
            return None;
        }
        if rest.len() > self.line_bytes_max {
            return Some(Err(LineError::TooLong(self.line_bytes_max)));
        }
        Some(str::from_utf8(rest).map_err(|_| LineError::NotUtf8(rest)))
    }
}

/// The complete lines of a [`LineReader`], each checked for length and UTF-8.
pub struct Lines<'a> {
    /// Lines known to be UTF-8: one check serves a whole chunk.
    text: &'a str,
    /// Complete lines not checked yet.
    bytes: &'a [u8],
    start: &'a mut usize,
    skipping: &'a mut bool,
    line_bytes_max: usize,
    /// The unfinished line behind the complete ones is too long already; so many bytes of it are here.
    cut: Option<usize>,
}

impl<'a> Lines<'a> {
    fn check_more(&mut self) -> Option<LineError<'a>> {
        let good = match str::from_utf8(self.bytes) {
            Ok(text) => text,
            Err(error) => {
                let (good, _) = self.bytes.split_at(error.valid_up_to());
                let whole_lines = good
                    .iter()
                    .rposition(|&byte| byte == b'\n')
                    .map_or(0, |newline| newline + 1);
                str::from_utf8(&good[..whole_lines]).expect("checked by the call before")
            }
        };
        self.text = good;
        self.bytes = &self.bytes[good.len()..];
        if good.is_empty() {
            let newline = self
                .bytes
                .iter()
                .position(|&byte| byte == b'\n')
                .expect("complete lines end in a newline");
            let line = &self.bytes[..newline];
            self.bytes = &self.bytes[newline + 1..];
            *self.start += newline + 1;
            // Whether it came in one piece must make no difference.
            return Some(match newline > self.line_bytes_max {
                true => LineError::TooLong(self.line_bytes_max),
                false => LineError::NotUtf8(line),
            });
        }
        None
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Result<&'a str, LineError<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.text.is_empty()
                && !self.bytes.is_empty()
                && let Some(error) = self.check_more()
            {
                if core::mem::take(self.skipping) {
                    continue;
                }
                return Some(Err(error));
            }
            let Some(newline) = find_newline(self.text.as_bytes()) else {
                let cut = self.cut.take()?;
                *self.start += cut;
                *self.skipping = true;
                return Some(Err(LineError::TooLong(self.line_bytes_max)));
            };
            let line = &self.text[..newline];
            self.text = &self.text[newline + 1..];
            *self.start += line.len() + 1;
            if core::mem::take(self.skipping) {
                continue;
            }
            if line.len() > self.line_bytes_max {
                return Some(Err(LineError::TooLong(self.line_bytes_max)));
            }
            return Some(Ok(line));
        }
    }
}

/// Where the first newline is.
///
/// Eight bytes at a time ("Determine if a word has a zero byte" in Anderson, "Bit twiddling hacks"): byte for byte it
/// would be a tenth of the cost of a whole message.
fn find_newline(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const NEWLINES: u64 = u64::from_le_bytes([b'\n'; 8]);
    let (words, rest) = bytes.as_chunks();
    for (index, word) in words.iter().enumerate() {
        let zero_if_newline = u64::from_le_bytes(*word) ^ NEWLINES;
        let newlines = zero_if_newline.wrapping_sub(ONES) & !zero_if_newline & (ONES << 7);
        if newlines != 0 {
            return Some(8 * index + newlines.trailing_zeros() as usize / 8);
        }
    }
    let at = rest.iter().position(|&byte| byte == b'\n');
    at.map(|at| 8 * words.len() + at)
}
