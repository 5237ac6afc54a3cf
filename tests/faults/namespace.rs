//! Mounts that only one process sees: a part that needs them is taken by another process of this program, in a mount
//! namespace of its own, and whatever it mounts is gone with it.

use std::path::Path;
use std::process::{Command, Stdio};

/// Set for the process in the namespace.
const INSIDE: &str = "FAULTS_IN_A_NAMESPACE";

/// Whether this process is the one that may mount.
pub fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Has the part taken in a namespace of its own; whether nothing failed there. `Err` says why there can be none.
pub fn hand_over(part: &str, long: bool, seed: u64) -> Result<bool, String> {
    if !cfg!(target_os = "linux") {
        return Err("there are no mounts of a process's own on this system".to_owned());
    }
    // Whoever isn't root has to become root of a namespace of users first.
    let flags = ["-m", "-rm"].into_iter().find(|flags| can_mount(flags).is_ok());
    let flags = match flags {
        Some(flags) => flags,
        None => return Err(format!("nothing can be mounted here: {}", can_mount("-rm").err().unwrap_or_default())),
    };
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new("unshare");
    command.arg(flags).arg(program).args([part, "--seed", &seed.to_string()]).args(long.then_some("--long"));
    let status = command.env(INSIDE, "1").stdin(Stdio::null()).status().map_err(|error| error.to_string())?;
    Ok(status.success())
}

fn can_mount(flags: &str) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mut command = Command::new("unshare");
    command.args([flags, "mount", "-t", "tmpfs", "faults"]).arg(folder.path());
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("unshare: {error}"))?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()) }
}

/// Mounts a file system in memory of this size, as in `256k`, on a folder, which is made.
pub fn mount(folder: &Path, size: &str) {
    std::fs::create_dir_all(folder).unwrap();
    let mut command = Command::new("mount");
    command.args(["-t", "tmpfs", "-o", &format!("size={size},mode=700"), "faults"]).arg(folder);
    assert!(command.status().unwrap().success(), "cannot mount on {}", folder.display());
}

/// Lets nobody write in what is mounted on the folder, or lets them again.
pub fn set_read_only(folder: &Path, read_only: bool) {
    let mode = if read_only { "remount,ro" } else { "remount,rw" };
    let status = Command::new("mount").args(["-o", mode]).arg(folder).status().unwrap();
    assert!(status.success(), "cannot remount {}", folder.display());
}
