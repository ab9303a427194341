//! A file of lines, which a thread compresses and writes while a run goes on.
//!
//! The lines are divided into blocks. Each block is an LZ4 frame of its own: `lz4cat` reads the file, a block can be
//! read without the others, and a file whose end is missing can be read up to there.
//!
//! The run itself only fills the blocks: if it compressed them, it would route a tenth fewer messages per second. If the
//! thread is `QUEUED_BLOCKS_MAX` blocks behind, the run waits for it.

use std::fs::File;
use std::io::{self, BufRead, ErrorKind, Read, Seek, SeekFrom, Write};
use std::iter;
use std::mem;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::thread::{self, JoinHandle};

use lz4_flex::frame::{BlockSize, FrameDecoder, FrameEncoder, FrameInfo};

use super::StoreError;

/// The maximum number of blocks that wait for the thread.
const QUEUED_BLOCKS_MAX: usize = 16;

/// A file of blocks that is being written.
///
/// Appending never fails: after an error, or above the limit of the file, blocks are left out, and
/// [`finish`](Self::finish) returns the error. A full disk must not end a run.
pub(super) struct BlockFile {
    path: PathBuf,
    /// The block that is being filled.
    lines: Vec<u8>,
    /// `None` once the file is finished.
    writer: Option<Writer>,
    /// The positions of the blocks in the finished file.
    offsets: Vec<u64>,
}

/// The thread, and the channels to and from it.
struct Writer {
    filled: SyncSender<Vec<u8>>,
    /// The buffers of blocks that were written, to be filled again.
    empty: Receiver<Vec<u8>>,
    thread: JoinHandle<Written>,
}

/// What the thread has written.
struct Written {
    offsets: Vec<u64>,
    error: Option<io::Error>,
}

impl BlockFile {
    /// A new file. The first block that would make it longer than `bytes_max`, and all blocks after that, are left out.
    pub(super) fn create(path: PathBuf, bytes_max: u64) -> Result<Self, StoreError> {
        let file = File::create_new(&path).map_err(StoreError::creating(&path))?;
        let (filled, blocks) = mpsc::sync_channel(QUEUED_BLOCKS_MAX);
        let (written, empty) = mpsc::channel();
        let thread = thread::Builder::new()
            .name(String::from("compression"))
            .spawn(move || write_blocks(file, bytes_max, &blocks, &written))
            .map_err(StoreError::creating(&path))?;
        Ok(BlockFile {
            path,
            lines: Vec::new(),
            writer: Some(Writer {
                filled,
                empty,
                thread,
            }),
            offsets: Vec::new(),
        })
    }

    /// The block that is being filled: whole lines.
    pub(super) fn lines(&mut self) -> &mut Vec<u8> {
        &mut self.lines
    }

    /// Ends the block. The next line begins another one.
    pub(super) fn end_block(&mut self) {
        let Some(writer) = self.writer.as_ref().filter(|_| !self.lines.is_empty()) else {
            return;
        };
        let next = writer.empty.try_recv().unwrap_or_default();
        let lines = mem::replace(&mut self.lines, next);
        let sent = writer.filled.send(lines);
        sent.expect("the thread takes blocks until there are no more");
    }

    /// Ends the last block, and waits until everything is on disk.
    pub(super) fn finish(&mut self) -> Result<(), StoreError> {
        self.end_block();
        let Some(Writer { filled, thread, .. }) = self.writer.take() else {
            return Ok(());
        };
        drop(filled);
        let written = thread.join().expect("the thread does not panic");
        self.offsets = written.offsets;
        match written.error {
            Some(error) => Err(StoreError::writing(&self.path)(error)),
            None => Ok(()),
        }
    }

    /// The number of blocks in the finished file. Those that were left out are the last ones.
    pub(super) fn block_count(&self) -> usize {
        self.offsets.len()
    }

    /// Reads a block of the finished file.
    pub(super) fn read(&self, block: usize) -> io::Result<String> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.offsets[block]))?;
        read_block(file)
    }
}

impl Drop for BlockFile {
    fn drop(&mut self) {
        let _ = self.finish();
    }
}

/// Writes all blocks, and returns their buffers.
fn write_blocks(
    mut file: impl Write,
    bytes_max: u64,
    blocks: &Receiver<Vec<u8>>,
    empty: &Sender<Vec<u8>>,
) -> Written {
    let info = FrameInfo::new().block_size(BlockSize::Max256KB);
    let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
    let mut written = Written {
        offsets: Vec::new(),
        error: None,
    };
    let mut length = 0;
    let mut is_full = false;
    for mut lines in blocks {
        if written.error.is_none() && !is_full {
            let compressed = encoder.write_all(&lines);
            compressed.expect("a frame is compressed in memory");
            let ended = encoder.try_finish();
            ended.expect("a frame is compressed in memory");
            let frame = encoder.get_mut();
            let offset = length;
            length += frame.len() as u64;
            is_full = length > bytes_max;
            if !is_full {
                match file.write_all(frame) {
                    Ok(()) => written.offsets.push(offset),
                    Err(error) => written.error = Some(error),
                }
            }
            frame.clear();
        }
        lines.clear();
        // Nobody takes it any longer if this was one of the last blocks.
        let _ = empty.send(lines);
    }
    written
}

/// Reads the block that begins where `file` is. The error is [`ErrorKind::UnexpectedEof`] if its end is missing.
fn read_block(file: impl Read) -> io::Result<String> {
    let mut lines = Vec::new();
    let read = FrameDecoder::new(file).read_to_end(&mut lines);
    read.map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof => error,
        kind => io::Error::new(kind, format!("it is damaged: {error}")),
    })?;
    // The decoder takes some of the missing ends for the end of the frame.
    if lines.last() != Some(&b'\n') {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    String::from_utf8(lines).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
}

/// Reads all blocks of a file. An error is the last that is of use. It is [`ErrorKind::UnexpectedEof`] if the end of the
/// last block is missing.
pub(super) fn read_blocks(mut file: impl BufRead) -> impl Iterator<Item = io::Result<String>> {
    iter::from_fn(move || match file.fill_buf() {
        Ok([]) => None,
        Ok(_) => Some(read_block(&mut file)),
        Err(error) => Some(Err(error)),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::workbench::store::testing::folder;

    /// The lines of a block.
    fn lines(block: usize) -> String {
        format!("é {block}\n").repeat(1000 + block)
    }

    /// A finished file of so many blocks.
    fn file(name: &str, block_count: usize, bytes_max: u64) -> BlockFile {
        let mut file = BlockFile::create(folder(name).join("blocks"), bytes_max).expect("a file");
        for block in 0..block_count {
            file.lines().extend_from_slice(lines(block).as_bytes());
            file.end_block();
        }
        file.finish().expect("room on the disk");
        file
    }

    #[test]
    fn every_block_is_in_the_file_however_far_behind_the_thread_is() {
        let block_count = 20 * QUEUED_BLOCKS_MAX;
        let file = file("blocks-all", block_count, u64::MAX);
        assert_eq!(file.block_count(), block_count);
        assert_eq!(file.read(7).expect("a block"), lines(7));
        let read = File::open(&file.path).expect("a file");
        let read = read_blocks(io::BufReader::new(read)).map(|block| block.expect("a block"));
        assert!(read.eq((0..block_count).map(lines)));
    }

    #[test]
    fn a_block_larger_than_a_frame_s_parts_is_read_whole() {
        let mut file =
            BlockFile::create(folder("blocks-large").join("blocks"), u64::MAX).expect("a file");
        // The two bytes of each é are in different parts.
        let large = format!("x{}\n", "é".repeat(1 << 20));
        file.lines().extend_from_slice(large.as_bytes());
        file.finish().expect("room on the disk");
        assert!(file.read(0).expect("a block") == large);
    }

    #[test]
    fn above_its_limit_the_file_ends_with_a_whole_block() {
        let length = fs::metadata(&file("blocks-3", 3, u64::MAX).path).expect("a file");
        let file = file("blocks-limited", 10, length.len() + 1);
        assert_eq!(file.block_count(), 3);
        let limited = fs::metadata(&file.path).expect("a file");
        assert_eq!(limited.len(), length.len());
    }

    #[test]
    fn wherever_a_file_is_cut_off_the_blocks_before_are_read_and_the_cut_is_reported() {
        let file = file("blocks-cut", 3, u64::MAX);
        let bytes = fs::read(&file.path).expect("a file");
        let mut ends: Vec<usize> = file.offsets.iter().map(|&offset| offset as usize).collect();
        ends.push(bytes.len());
        for cut in 0..=bytes.len() {
            let whole_count = ends[1..].iter().filter(|&&end| end <= cut).count();
            let mut blocks = read_blocks(&bytes[..cut]);
            for block in 0..whole_count {
                assert_eq!(
                    blocks.next().expect("a block").expect("whole"),
                    lines(block)
                );
            }
            match blocks.next() {
                None => assert!(ends.contains(&cut), "cut off at {cut}"),
                Some(Err(error)) => assert_eq!(error.kind(), ErrorKind::UnexpectedEof),
                // Only the mark that ends the block is missing.
                Some(Ok(block)) => assert_eq!(block, lines(whole_count)),
            }
        }
    }

    #[test]
    fn a_file_of_another_kind_is_an_error() {
        let text = "{\"id\":0}\n".repeat(10);
        let first = read_blocks(text.as_bytes()).next().expect("an item");
        let error = first.expect_err("it is not compressed");
        assert_ne!(error.kind(), ErrorKind::UnexpectedEof);
        assert_eq!(error.to_string(), "it is damaged: WrongMagicNumber");
    }

    #[test]
    fn a_full_disk_is_reported_and_does_not_hold_up_the_run() {
        let (filled, blocks) = mpsc::sync_channel(100);
        let (written, empty) = mpsc::channel();
        for block in 0..100 {
            let lines = lines(block).into_bytes();
            filled.send(lines).expect("room for all");
        }
        drop(filled);
        let full = File::options().write(true).open("/dev/full");
        let written = write_blocks(full.expect("Linux has it"), u64::MAX, &blocks, &written);
        let error = written.error.expect("there is no room");
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        assert!(written.offsets.is_empty());
        assert_eq!(empty.try_iter().count(), 100, "every buffer is returned");
    }
}
