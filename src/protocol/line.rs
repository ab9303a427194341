use alloc::{vec, vec::Vec};
use core::{fmt, mem, ops::Range, str};

/// The longest line that is read by default: 1 MiB.
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// At most this much is read at once, unless a reader is made for less.
const READ_BYTES: usize = 64 << 10;

/// Cuts bytes into lines.
///
/// Fill [`space`](Self::space), say how much with [`filled`](Self::filled), take the complete lines with
/// [`next_line`](Self::next_line). The buffer grows only for a line that needs it, and never beyond the limit of a line
/// and one read.
///
/// ```
/// let mut reader = eddy::protocol::LineReader::new(100);
/// reader.space()[..9].copy_from_slice(b"one\ntwo\nt");
/// reader.filled(9);
/// assert_eq!(reader.next_line(), Some(Ok("one")));
/// assert_eq!(reader.next_line(), Some(Ok("two")));
/// assert_eq!(reader.next_line(), None);
/// ```
pub struct LineReader {
    buffer: Vec<u8>,
    /// `buffer[start..end]` is read and not yet taken.
    start: usize,
    end: usize,
    /// `buffer[start..searched]` holds no newline: a long line that comes in small pieces is looked through once.
    searched: usize,
    line_bytes_max: usize,
    /// At most this much is read at once.
    read_bytes: usize,
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
        Self::with_read_bytes(line_bytes_max, READ_BYTES)
    }

    /// A reader that offers at most `read_bytes` bytes of [`space`](Self::space) at once, and that takes twice as much
    /// memory as long as no line is longer: for a program that has thousands of readers.
    pub fn with_read_bytes(line_bytes_max: usize, read_bytes: usize) -> Self {
        LineReader {
            buffer: vec![0; 2 * read_bytes],
            start: 0,
            end: 0,
            searched: 0,
            line_bytes_max,
            read_bytes,
            skipping: false,
        }
    }

    /// Where the next bytes go. Never empty once the lines at hand have been taken.
    pub fn space(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end, self.searched) = (0, 0, 0);
        } else if self.end + self.read_bytes > self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            self.searched -= self.start;
            (self.start, self.end) = (0, self.end - self.start);
            if self.end + self.read_bytes > self.buffer.len() {
                let most = self.line_bytes_max.saturating_add(self.read_bytes);
                let doubled = most.min(2 * self.buffer.len());
                self.buffer.resize(doubled.max(self.buffer.len()), 0);
            }
        }
        let until = self.buffer.len().min(self.end + self.read_bytes);
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

    /// Takes the next complete line, without its newline. What is left when there is none waits for its rest.
    ///
    /// # Errors
    ///
    /// [`LineError`] when the line is too long or not UTF-8. The lines after it are not affected.
    pub fn next_line(&mut self) -> Option<Result<&str, LineError<'_>>> {
        while let Some(newline) = find_newline(&self.buffer[self.searched..self.end]) {
            let line = self.start..self.searched + newline;
            self.start = line.end + 1;
            self.searched = self.start;
            if !mem::take(&mut self.skipping) {
                return Some(self.check(line));
            }
        }
        self.searched = self.end;
        if !self.skipping && self.end - self.start <= self.line_bytes_max {
            return None;
        }
        self.start = self.end;
        let was_skipping = mem::replace(&mut self.skipping, true);
        (!was_skipping).then_some(Err(LineError::TooLong(self.line_bytes_max)))
    }

    /// Takes the last line, when the input has ended without a newline.
    ///
    /// # Errors
    ///
    /// As for [`next_line`](Self::next_line).
    pub fn rest(&mut self) -> Option<Result<&str, LineError<'_>>> {
        let rest = self.start..self.end;
        (self.start, self.searched) = (self.end, self.end);
        let is_line = !rest.is_empty() && !mem::take(&mut self.skipping);
        is_line.then(|| self.check(rest))
    }

    fn check(&self, line: Range<usize>) -> Result<&str, LineError<'_>> {
        let line = &self.buffer[line];
        if line.len() > self.line_bytes_max {
            return Err(LineError::TooLong(self.line_bytes_max));
        }
        str::from_utf8(line).map_err(|_| LineError::NotUtf8(line))
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
