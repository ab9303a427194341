use alloc::{vec, vec::Vec};
use core::{fmt, mem, ops::Range, str};

/// The longest line that is read by default: 1 MiB.
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// At most this much is read at once, unless a reader is made for less.
const READ_BYTES: usize = 64 << 10;

/// Cuts bytes into lines.
///
/// Fill [`space`](Self::space), say how much with [`filled`](Self::filled), take the complete lines from
/// [`lines`](Self::lines). The buffer grows only for a line that needs it, and never beyond the limit of a line and one
/// read.
///
/// ```
/// let mut reader = eddy::protocol::LineReader::new(100);
/// reader.space()[..9].copy_from_slice(b"one\ntwo\nt");
/// reader.filled(9);
/// assert!(reader.lines().eq([Ok("one"), Ok("two")]));
/// ```
pub struct LineReader {
    buffer: Vec<u8>,
    position: Position,
    line_bytes_max: usize,
    /// At most this much is read at once.
    read_bytes: usize,
}

/// How far a buffer has been read.
#[derive(Default)]
struct Position {
    /// From here to `end` it is filled and not yet taken.
    start: usize,
    end: usize,
    /// From `start` to here it holds no newline: a long line that comes in small pieces is looked through once.
    searched: usize,
    /// The rest of a line that was too long is being thrown away.
    skipping: bool,
}

/// Takes complete lines, each without its newline. A line that is not taken stays: [`LineReader::lines`] begins with it.
pub struct Lines<'a> {
    buffer: &'a [u8],
    position: &'a mut Position,
    line_bytes_max: usize,
    /// What has been found to be UTF-8, from the next line on. It may be many lines, as it takes a quarter of the time to
    /// check them all at once.
    text: &'a str,
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
            LineError::TooLong(max) => {
                write!(
                    f,
                    "the line is longer than {max} bytes; it is skipped to its end"
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
        Self::with_read_bytes(line_bytes_max, READ_BYTES)
    }

    /// A reader that offers at most `read_bytes` bytes of [`space`](Self::space) at once, and that takes twice as much
    /// memory as long as no line is longer: for a program that has thousands of readers.
    pub fn with_read_bytes(line_bytes_max: usize, read_bytes: usize) -> Self {
        LineReader {
            buffer: vec![0; 2 * read_bytes],
            position: Position::default(),
            line_bytes_max,
            read_bytes,
        }
    }

    /// Where the next bytes go. Never empty once the lines at hand have been taken.
    pub fn space(&mut self) -> &mut [u8] {
        let at = &mut self.position;
        if at.start == at.end {
            (at.start, at.end, at.searched) = (0, 0, 0);
        } else if at.end + self.read_bytes > self.buffer.len() {
            self.buffer.copy_within(at.start..at.end, 0);
            at.searched -= at.start;
            (at.start, at.end) = (0, at.end - at.start);
            if at.end + self.read_bytes > self.buffer.len() {
                let most = self.line_bytes_max.saturating_add(self.read_bytes);
                let doubled = most.min(2 * self.buffer.len());
                self.buffer.resize(doubled.max(self.buffer.len()), 0);
            }
        }
        let until = self.buffer.len().min(at.end + self.read_bytes);
        &mut self.buffer[at.end..until]
    }

    /// Says that the first `count` bytes of [`space`](Self::space) have been filled.
    pub fn filled(&mut self, count: usize) {
        assert!(
            count <= self.buffer.len() - self.position.end,
            "more bytes filled than there was space for"
        );
        self.position.end += count;
    }

    /// Takes the complete lines, each with a [`LineError`] in its place if it is too long or not UTF-8. What is left when
    /// there is none waits for its rest.
    pub fn lines(&mut self) -> Lines<'_> {
        Lines {
            buffer: &self.buffer,
            line_bytes_max: self.line_bytes_max,
            text: "",
            position: &mut self.position,
        }
    }

    /// Says that the input has ended, once the lines at hand have been taken. If it ended without a newline,
    /// [`lines`](Self::lines) gives the last one now.
    pub fn end(&mut self) {
        if self.position.start < self.position.end {
            self.space()[0] = b'\n';
            self.filled(1);
        }
    }
}

impl<'a> Lines<'a> {
    fn check(&mut self, line: Range<usize>) -> Result<&'a str, LineError<'a>> {
        let mut text = mem::take(&mut self.text);
        if line.len() > self.line_bytes_max {
            return Err(LineError::TooLong(self.line_bytes_max));
        }
        if line.len() > text.len() {
            let bytes = &self.buffer[line.start..self.position.end];
            text = str::from_utf8(bytes).unwrap_or_else(|error| {
                str::from_utf8(&bytes[..error.valid_up_to()]).expect("it is valid up to there")
            });
        }
        let Some((text, behind)) = text.split_at_checked(line.len()) else {
            return Err(LineError::NotUtf8(&self.buffer[line]));
        };
        self.text = behind.strip_prefix('\n').unwrap_or_default();
        Ok(text)
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Result<&'a str, LineError<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        let end = self.position.end;
        while let Some(newline) = find_newline(&self.buffer[self.position.searched..end]) {
            let at = &mut *self.position;
            let line = at.start..at.searched + newline;
            (at.start, at.searched) = (line.end + 1, line.end + 1);
            if !mem::take(&mut at.skipping) {
                return Some(self.check(line));
            }
        }
        let at = &mut *self.position;
        at.searched = end;
        if !at.skipping && end - at.start <= self.line_bytes_max {
            return None;
        }
        at.start = end;
        let was_skipping = mem::replace(&mut at.skipping, true);
        (!was_skipping).then_some(Err(LineError::TooLong(self.line_bytes_max)))
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
