//! Real etcd.

use std::fs;
use std::io::{self, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use super::service::Service;

/// A cluster of one member. Dropping it kills the member.
pub struct Real {
    child: Child,
    folder: PathBuf,
    pub url: String,
}

/// Whether etcd is installed. If it is not, prints that `what` is skipped.
pub fn is_installed(what: &str) -> bool {
    let ran = Command::new("etcd")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    if ran.is_err() {
        // The output of `eprintln!` would be shown only for tests that fail.
        let skipped = format!("skipped {what}: there is no etcd (apt-get install etcd-server)");
        let _ = writeln!(io::stderr(), "{skipped}");
    }
    ran.is_ok()
}

/// Starts a cluster and waits until it serves; `None` if etcd is not installed.
pub fn etcd(name: &str) -> Option<Real> {
    if !is_installed(name) {
        return None;
    }
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("etcd-{name}"));
    let _ = fs::remove_dir_all(&folder);
    let [url, peer_url] = [free_url(), free_url()];
    let child = Command::new("etcd")
        .args(["--name", "m0", "--data-dir"])
        .arg(&folder)
        .args([
            "--listen-client-urls",
            &url,
            "--advertise-client-urls",
            &url,
        ])
        .args(["--listen-peer-urls", &peer_url])
        .args(["--initial-advertise-peer-urls", &peer_url])
        .args(["--initial-cluster", &format!("m0={peer_url}")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let child = child.expect("it is installed");
    let etcd = Real { child, folder, url };
    for _ in 0..200 {
        if Service::etcd(&[&etcd.url]).is_ok() {
            return Some(etcd);
        }
        thread::sleep(Duration::from_millis(100));
    }
    panic!("etcd does not serve at {}", etcd.url);
}

/// The URL of a port that is free now.
fn free_url() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    format!("http://{address}")
}

impl Drop for Real {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
