//! Room on a disk that fills up.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// What a small file needs.
const ROOM_BYTES: u64 = 256 << 10;

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
