//! Reserves disk space for the small files of a run, in case large ones fill the disk.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// The size that a small file needs.
const ROOM_BYTES: u64 = 256 << 10;

/// A file without a name, which disappears when this is dropped, however a run ends. Other files can then use its
/// space.
pub(super) struct Room {
    _file: File,
}

impl Room {
    /// Reserves space on the disk of a folder.
    pub(super) fn keep(folder: &Path) -> io::Result<Self> {
        let path = folder.join(".room");
        let mut file = File::create_new(&path)?;
        fs::remove_file(&path)?;
        io::copy(&mut io::repeat(b' ').take(ROOM_BYTES), &mut file)?;
        Ok(Room { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_taken_under_no_name() {
        let folder = std::env::temp_dir().join(format!("eddy-room-{}", std::process::id()));
        fs::create_dir(&folder).expect("there is none yet");
        let room = Room::keep(&folder).expect("there is room");
        let kept = room._file.metadata().expect("it is open").len();
        assert_eq!(kept, ROOM_BYTES);
        fs::remove_dir(&folder).expect("it is empty");
    }
}
