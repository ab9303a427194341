use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use thiserror::Error;

use super::executable;

/// The program under test, with its arguments.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    args: Vec<String>,
}

/// The reason why a program can't be run.
#[derive(Debug, Error)]
pub enum ProgramError {
    /// There is nothing at the path.
    #[error("there is no file {0}. {hint}", path.display(), hint = executable::hint_for_no_file(path))]
    NotFound {
        /// The path that was given.
        path: PathBuf,
    },
    /// It is a folder or a device.
    #[error("{0} is not a file. --bin wants the program itself", path.display())]
    NotAFile {
        /// The path that was given.
        path: PathBuf,
    },
    /// It lacks the permission to be executed.
    #[error("{0} is not executable. Make it so: chmod +x {0}", path.display())]
    NotExecutable {
        /// The path that was given.
        path: PathBuf,
    },
    /// The operating system could not start it.
    #[error("{0} can't be started: {error}. {hint}", path.display(), hint = executable::hint(path, error))]
    NotStarted {
        /// The path of the program.
        path: PathBuf,
        /// The error of the operating system.
        error: io::Error,
    },
}

impl Program {
    /// The program at `path`. As upstream, links are followed and the program is started under its canonical path.
    ///
    /// # Errors
    ///
    /// When there is no executable file at `path`.
    pub fn find(path: &Path, args: Vec<String>) -> Result<Self, ProgramError> {
        let given = || PathBuf::from(path);
        let canonical = path
            .canonicalize()
            .map_err(|_| ProgramError::NotFound { path: given() })?;
        let metadata = canonical
            .metadata()
            .map_err(|_| ProgramError::NotFound { path: given() })?;
        if !metadata.is_file() {
            return Err(ProgramError::NotAFile { path: given() });
        }
        if metadata.permissions().mode() & 0o111 == 0 {
            return Err(ProgramError::NotExecutable { path: given() });
        }
        Ok(Program {
            path: canonical,
            args,
        })
    }

    /// A hint for the user, if a node's exit status and its last lines on stderr show that a file was not found.
    pub(super) fn hint<'a>(
        &self,
        status: ExitStatus,
        log: impl IntoIterator<Item = &'a String>,
    ) -> Option<String> {
        // The status of env and shells when they did not find the program.
        let is_of_env = status.code() == Some(127);
        let hint = is_of_env.then(|| executable::hint_for_env(&self.path));
        hint.flatten()
            .or_else(|| executable::hint_for_lost_file(log))
    }

    /// Starts one node in the temporary folder. It has a process group of its own, so that the children of a shell script
    /// can be killed with it.
    pub(in crate::workbench) fn spawn(&self) -> Result<Child, ProgramError> {
        Command::new(&self.path)
            .args(&self.args)
            .current_dir(std::env::temp_dir())
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| ProgramError::NotStarted {
                path: self.path.clone(),
                error,
            })
    }
}
