//! Room on a disk that fills up.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// What a small file needs.
const ROOM_BYTES: usize = 256 << 10;

/// A file without a name, which is gone when this is dropped, however a run ends. Others can have its room then.
pub(super) struct Room {
    _file: File,
}

impl Room {
    /// Keeps room on the disk of that folder.
    pub(super) fn keep(folder: &Path) -> io::Result<Self> {
        let path = folder.join(".room");
        let mut file = File::create_new(&path)?;
        fs::remove_file(&path)?;
        file.write_all(&[b' '; ROOM_BYTES])?;
        Ok(Room { _file: file })
    }
}
