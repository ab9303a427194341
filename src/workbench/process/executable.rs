//! Hints about a program that exists and is executable but does not start, from its first bytes and its output.

use std::borrow::Cow;
use std::env;
use std::env::consts::ARCH;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// A hint about a program that the operating system did not start.
pub(super) fn hint(path: &Path, error: &io::Error) -> String {
    match (read_head(path), error.raw_os_error()) {
        // ENOEXEC
        (Ok(head), Some(8)) => wrong_kind(&head),
        // ENOENT although the file exists
        (Ok(head), Some(2)) => lost_interpreter(&head),
        _ => String::from("Try to run it by hand"),
    }
}

/// A hint about a script whose interpreter `env` did not find.
pub(super) fn hint_for_env(path: &Path) -> Option<String> {
    let is_there = |name: &str| found_by_shell(name).is_some();
    lost_by_env(&read_head(path).ok()?, is_there)
}

/// A hint about a path at which there is nothing. It may be the name of an interpreter, or a whole command.
pub(super) fn hint_for_no_file(path: &Path) -> String {
    let command = path.to_string_lossy();
    let name = command.split_whitespace().next().unwrap_or_default();
    match found_by_shell(name) {
        Some(interpreter) => format!(
            "--bin takes the path of one program, without arguments. Make a script executable, with a first line such as \
             #!/usr/bin/env python3, or give the interpreter and, at the end of the line, the absolute path of the script: \
             --bin {} -- /path/to/script",
            interpreter.display()
        ),
        None => String::from("Build it first, or check the path after --bin"),
    }
}

/// The program that a shell starts by that name or path.
fn found_by_shell(name: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(|path| path.is_file());
    }
    let search_path = env::var_os("PATH")?;
    let mut places = env::split_paths(&search_path).map(|folder| folder.join(name));
    places.find(|place| place.is_file())
}

/// A hint about a program that has printed on stderr that it can't find a file.
pub(super) fn hint_for_lost_file<'a>(log: impl IntoIterator<Item = &'a String>) -> Option<String> {
    /// The words that programs and interpreters use for it.
    const LOST: [&str; 5] = [
        "no such file",
        "not found",
        "cannot find",
        "could not find",
        "unable to access",
    ];
    let has_lost = |line: &String| {
        let line = line.to_lowercase();
        LOST.iter().any(|lost| line.contains(lost))
    };
    let folder = env::temp_dir();
    log.into_iter().any(has_lost).then(|| {
        format!(
            "Nodes run in the folder for temporary files, {}, as on Maelstrom. Open a file by its absolute path, or by its \
             path relative to the program",
            folder.display()
        )
    })
}

fn read_head(path: &Path) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    File::open(path)?.take(256).read_to_end(&mut head)?;
    Ok(head)
}

/// A hint about a file that is not a program for this machine.
fn wrong_kind(head: &[u8]) -> String {
    let other = match head {
        [] => return String::from("The file is empty"),
        [0x7f, b'E', b'L', b'F', ..] => architecture(head),
        [0xcf | 0xce, 0xfa, 0xed, 0xfe, ..] => Some("macOS"),
        [b'M', b'Z', ..] => Some("Windows"),
        _ => {
            return String::from(
                "It is not a binary, and a script needs a first line that names its interpreter, such as \
                 #!/usr/bin/env python3",
            );
        }
    };
    let other = other.unwrap_or("another machine");
    format!("It was built for {other}; build it for this machine, {ARCH}")
}

/// The architecture that the header of an ELF file names.
fn architecture(head: &[u8]) -> Option<&'static str> {
    let number: [u8; 2] = head.get(18..20)?.try_into().ok()?;
    let is_big_endian = head[5] == 2;
    let number = if is_big_endian {
        u16::from_be_bytes(number)
    } else {
        u16::from_le_bytes(number)
    };
    match number {
        3 => Some("x86"),
        8 => Some("mips"),
        20 | 21 => Some("powerpc"),
        22 => Some("s390x"),
        40 => Some("arm"),
        62 => Some("x86_64"),
        183 => Some("aarch64"),
        243 => Some("riscv"),
        _ => None,
    }
}

/// A hint about a file whose interpreter does not exist.
fn lost_interpreter(head: &[u8]) -> String {
    let Some(first_line) = first_line(head) else {
        return String::from(
            "It is a binary that needs other system libraries than this machine has. Build it here, or link it statically",
        );
    };
    if first_line.ends_with('\r') {
        return String::from(CARRIAGE_RETURN);
    }
    let interpreter = first_line.split_whitespace().next().unwrap_or_default();
    format!("Its first line names the interpreter {interpreter}, which does not exist")
}

/// A hint about a script that `env` runs, if `env` can't find the program that the first line names.
fn lost_by_env(head: &[u8], is_there: impl Fn(&str) -> bool) -> Option<String> {
    let first_line = first_line(head)?;
    let mut words = first_line.split_whitespace();
    if !Path::new(words.next()?).ends_with("env") {
        return None;
    }
    if first_line.ends_with('\r') {
        return Some(String::from(CARRIAGE_RETURN));
    }
    // Any other option may have the next word as its value, so no name can be found behind it.
    let mut words =
        words.skip_while(|word| ["-S", "-i", "-v"].contains(word) || word.contains('='));
    let name = words.next().filter(|word| !word.starts_with('-'))?;
    (!is_there(name)).then(|| format!("Its first line asks for {name}, which is not on the PATH"))
}

const CARRIAGE_RETURN: &str = "Its first line ends with a carriage return, as on Windows. Remove them: sed -i 's/\\r$//' FILE";

/// The first line of a script, without the `#!`.
fn first_line(head: &[u8]) -> Option<Cow<'_, str>> {
    let rest = head.strip_prefix(b"#!")?;
    rest.split(|&byte| byte == b'\n')
        .next()
        .map(String::from_utf8_lossy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_wrong_kind_is_recognised_by_its_first_bytes() {
        let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
        elf.resize(64, 0);
        elf[18] = 183;
        let mut big_endian = elf.clone();
        (big_endian[5], big_endian[18], big_endian[19]) = (2, 0, 22);
        for (head, expected) in [
            (&b""[..], "empty"),
            (&elf, "built for aarch64; build it for this machine"),
            (&big_endian, "built for s390x"),
            (&elf[..10], "built for another machine"),
            (b"\xcf\xfa\xed\xfe\x07", "built for macOS"),
            (b"MZ\x90", "built for Windows"),
            (b"print('hello')", "#!/usr/bin/env python3"),
        ] {
            let hint = wrong_kind(head);
            assert!(hint.contains(expected), "{hint}");
        }
    }

    #[test]
    fn a_lost_interpreter_is_named() {
        for (head, expected) in [
            (
                &b"#! /no/such -u\nprint(1)"[..],
                "names the interpreter /no/such, which",
            ),
            (b"#!/bin/sh\r\nexit", "carriage return"),
            (b"\x7fELF", "system libraries"),
        ] {
            let hint = lost_interpreter(head);
            assert!(hint.contains(expected), "{hint}");
        }
    }

    #[test]
    fn the_folder_of_nodes_is_named_if_a_file_is_not_found() {
        for (logged, is_hinted) in [
            (
                "python3: can't open file '/tmp/node.py': [Errno 2] No such file or directory",
                true,
            ),
            ("Error: Cannot find module '/tmp/node.js'", true),
            ("Error: Unable to access jarfile node.jar", true),
            ("ModuleNotFoundError: No module named 'maelstrom'", false),
            ("out of coffee", false),
        ] {
            let hint = hint_for_lost_file([&String::from("starting"), &String::from(logged)]);
            assert_eq!(hint.is_some(), is_hinted, "{logged}");
        }
    }

    #[test]
    fn what_env_did_not_find_is_named() {
        for (head, expected) in [
            (
                "#!/usr/bin/env -S python9 -u\n",
                Some("asks for python9, which"),
            ),
            (
                "#!/usr/bin/env A=b python9\n",
                Some("asks for python9, which"),
            ),
            ("#!/usr/bin/env python3\r\n", Some("carriage return")),
            ("#!/usr/bin/env -Spython3\r\n", Some("carriage return")),
            ("#!/usr/bin/env -S -u FOO python3\n", None),
            ("#!/usr/bin/env python3\n", None),
            ("#!/bin/sh -e python9\n", None),
            ("\u{7f}ELF", None),
        ] {
            let hint = lost_by_env(head.as_bytes(), |name| name == "python3");
            match expected {
                Some(part) => assert!(hint.is_some_and(|hint| hint.contains(part)), "{head}"),
                None => assert_eq!(hint, None, "{head}"),
            }
        }
    }
}
