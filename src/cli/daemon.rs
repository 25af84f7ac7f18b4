//! Running in the background: the program starts itself again in a session of its own.

use std::process::{Command, Stdio};

const MARK: &str = "COLLECTOR_DAEMON";

/// Whether this process is the one in the background; it leaves its terminal then.
pub fn is_child() -> bool {
    let child = std::env::var_os(MARK).is_some();
    if child {
        // Fails only for the leader of a session, which is what is wanted.
        let _ = rustix::process::setsid();
    }
    child
}

/// Starts the process in the background.
pub fn detach() -> Result<(), String> {
    let program = std::env::current_exe().map_err(|e| format!("cannot find my own program file: {e}"))?;
    Command::new(program)
        .args(std::env::args_os().skip(1))
        .env(MARK, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map(drop)
        .map_err(|e| format!("cannot start in the background: {e}"))
}
