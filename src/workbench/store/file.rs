//! A file that is written while a run goes on.

use std::fs::File;
use std::io::{self, Write};
use std::mem;
use std::path::{Path, PathBuf};

use super::StoreError;

/// The size of the buffer.
const BUFFER_BYTES: usize = 64 << 10;

/// A file that is being written.
///
/// Appending never fails: after an error, or above its limit, the file ignores what is appended, and
/// [`finish`](Self::finish) returns the error. A full disk must not end a run.
pub(super) struct OutFile {
    path: PathBuf,
    file: File,
    buffer: Vec<u8>,
    /// The number of bytes that have left the buffer.
    written_bytes: u64,
    bytes_max: u64,
    has_last_line: bool,
    error: Option<io::Error>,
}

impl OutFile {
    /// A new file. Lines that would make it longer than `bytes_max` are left out.
    pub(super) fn create(path: PathBuf, bytes_max: u64) -> Result<Self, StoreError> {
        let file = File::create_new(&path).map_err(StoreError::creating(&path))?;
        Ok(OutFile {
            path,
            file,
            buffer: Vec::new(),
            written_bytes: 0,
            bytes_max,
            has_last_line: false,
            error: None,
        })
    }

    /// Its path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Its length, once all of it is on disk.
    pub(super) fn len(&self) -> u64 {
        self.written_bytes + self.buffer.len() as u64
    }

    /// Appends what `write` appends. Returns whether it fitted.
    pub(super) fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        if self.error.is_some() || self.len() >= self.bytes_max {
            return false;
        }
        let length = self.buffer.len();
        write(&mut self.buffer);
        if self.len() > self.bytes_max {
            self.buffer.truncate(length);
            // A shorter line that would still fit would leave an invisible gap.
            self.bytes_max = self.len();
            return false;
        }
        if self.buffer.len() >= BUFFER_BYTES {
            self.flush_buffer();
        }
        true
    }

    /// Ends the file with a line about itself, which is exempt from the limit. Only the first such line counts.
    pub(super) fn end_with(&mut self, line: &str) {
        if !mem::replace(&mut self.has_last_line, true) {
            self.buffer.extend_from_slice(line.as_bytes());
            self.buffer.push(b'\n');
            self.bytes_max = self.len();
        }
    }

    /// Passes the buffer to the operating system.
    pub(super) fn flush_buffer(&mut self) {
        if self.error.is_some() {
            return;
        }
        match self.file.write_all(&self.buffer) {
            Ok(()) => self.written_bytes += self.buffer.len() as u64,
            Err(error) => self.error = Some(error),
        }
        self.buffer.clear();
    }

    /// Whether all that was appended is in the file.
    pub(super) fn finish(&mut self) -> Result<(), StoreError> {
        self.flush_buffer();
        match mem::take(&mut self.error) {
            Some(error) => Err(StoreError::writing(&self.path)(error)),
            None => Ok(()),
        }
    }
}

impl Drop for OutFile {
    fn drop(&mut self) {
        self.flush_buffer();
    }
}

/// For serializers. Errors are returned by [`finish`](OutFile::finish).
impl Write for OutFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.append(|buffer| buffer.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.flush_buffer();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::workbench::store::testing::folder;

    #[test]
    fn what_is_appended_is_in_the_file() {
        let folder = folder("out_file");
        let mut file = OutFile::create(folder.join("whole"), u64::MAX).expect("a new file");
        let line = [b'x'; 1000];
        for _ in 0..1000 {
            assert!(file.append(|out| out.extend_from_slice(&line)));
        }
        file.finish().expect("room on the disk");
        assert_eq!(file.len(), 1_000_000);
        let read = fs::read(file.path()).expect("it is there");
        assert_eq!(read.len(), 1_000_000);
    }

    #[test]
    fn above_its_limit_it_ends_with_a_whole_line() {
        let folder = folder("limited_file");
        let mut file = OutFile::create(folder.join("limited"), 10).expect("a new file");
        assert!(file.append(|out| out.extend_from_slice(b"1234567\n")));
        assert!(!file.append(|out| out.extend_from_slice(b"12345\n")));
        assert!(!file.append(|out| out.push(b'\n')));
        file.finish().expect("room on the disk");
        assert_eq!(fs::read(file.path()).expect("it is there"), b"1234567\n");
    }

    #[test]
    fn a_full_disk_is_reported_once_at_the_end() {
        let full = Path::new("/dev/full");
        let mut file = OutFile {
            path: full.into(),
            file: File::options()
                .write(true)
                .open(full)
                .expect("Linux has it"),
            buffer: Vec::new(),
            written_bytes: 0,
            bytes_max: u64::MAX,
            has_last_line: false,
            error: None,
        };
        for _ in 0..1000 {
            file.append(|out| out.extend_from_slice(&[b'x'; 1000]));
        }
        let error = file.finish().expect_err("there is no room").to_string();
        assert!(error.contains("/dev/full"), "{error}");
        assert!(error.contains("No space left"), "{error}");
        assert!(
            file.buffer.capacity() < 2 * BUFFER_BYTES,
            "it has kept everything"
        );
    }
}
