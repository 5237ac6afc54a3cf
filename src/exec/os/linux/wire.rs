//! What the runner and its guardian say to each other.
//!
//! On the main socket the runner sends orders: four bytes of length (little-endian), then the command, and with the
//! first byte three file descriptors: the script's standard output and error, and the guardian's end of the order's
//! own socket. On that socket the guardian answers with JSON lines, and the runner sends single bytes.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::model::Leaked;
use crate::plan::SpawnCommand;

/// The runner asks the script and its descendants to end (SIGTERM).
pub(super) const ASK: u8 = b'T';
/// The runner has the script and its descendants killed; answered with [`Reply::Killed`].
pub(super) const KILL: u8 = b'K';
/// The runner wants to know who is left; answered with [`Reply::Survivors`].
pub(super) const LIST: u8 = b'L';

/// What the guardian tells of one script.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reply {
    /// It could not be started; the number is the system's error code.
    Failed { errno: i32 },
    /// It has exited.
    Exited {
        pid: u32,
        code: Option<u32>,
        signal: Option<i32>,
        core: bool,
        user_us: u64,
        system_us: u64,
        peak_bytes: Option<u64>,
        left_behind: bool,
    },
    /// Those of its descendants that are alive.
    Survivors { processes: Vec<Leaked> },
    /// All of its processes are gone, or those that couldn't be ended.
    Killed { left: usize },
}

/// Writes a command as the guardian reads it: the count of arguments, and all texts ended by a NUL byte, which none of
/// them can contain.
pub(super) fn encode(command: &SpawnCommand) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4];
    bytes.extend_from_slice(&u32::try_from(command.args.len()).unwrap_or(u32::MAX).to_le_bytes());
    let mut put = |parts: &[&OsStr]| {
        for part in parts {
            if part.as_bytes().contains(&0) {
                let message = format!("{} contains a NUL byte", part.display());
                return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
            }
            bytes.extend_from_slice(part.as_bytes());
        }
        bytes.push(0);
        Ok(())
    };
    put(&[command.program.as_os_str()])?;
    put(&[command.working_dir.as_os_str()])?;
    put(&[OsStr::new(&command.marker)])?;
    for arg in &command.args {
        put(&[arg])?;
    }
    for (name, value) in command.environment() {
        put(&[name, OsStr::new("="), value])?;
    }
    let length = u32::try_from(bytes.len() - 4)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "the command is longer than 4 GiB"))?;
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    Ok(bytes)
}

/// Reads what [`encode`] wrote, without the length.
pub(super) fn decode(bytes: &[u8]) -> Option<SpawnCommand> {
    let (count, texts) = bytes.split_first_chunk::<4>()?;
    let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
    let mut texts = texts.strip_suffix(&[0])?.split(|&byte| byte == 0);
    let mut next = || texts.next().map(|text| OsString::from_vec(text.to_vec()));
    let program = PathBuf::from(next()?);
    let working_dir = PathBuf::from(next()?);
    let marker = next()?.into_string().ok()?;
    let args = (0..count).map(|_| next()).collect::<Option<Vec<_>>>()?;
    let mut env = Vec::new();
    while let Some(pair) = next() {
        let bytes = pair.as_bytes();
        // A name may begin with `=` on other systems; here the first one after the first byte separates.
        let at = bytes.iter().skip(1).position(|&byte| byte == b'=')? + 1;
        env.push((OsString::from_vec(bytes[..at].to_vec()), OsString::from_vec(bytes[at + 1..].to_vec())));
    }
    Some(SpawnCommand { program, args, base_env: [].into(), env, working_dir, marker })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_arrives_as_it_was_sent() {
        let command = SpawnCommand {
            program: "/usr/bin/python3".into(),
            args: vec!["a b.py".into(), "".into(), OsString::from_vec(vec![0xff, b'\n', b'"'])],
            base_env: [("A".into(), "old".into()), ("B".into(), "b".into())].into(),
            env: vec![("A".into(), "x=y".into()), ("EMPTY".into(), "".into())],
            working_dir: "/srv/pro ject".into(),
            marker: "RUNNER_RUN_ID=39be3d37aed64".into(),
        };
        let bytes = encode(&command).unwrap();
        assert_eq!(u32::from_le_bytes(bytes[..4].try_into().unwrap()) as usize, bytes.len() - 4);
        let arrived = decode(&bytes[4..]).unwrap();
        assert_eq!((&arrived.program, &arrived.args), (&command.program, &command.args));
        assert_eq!((&arrived.working_dir, &arrived.marker), (&command.working_dir, &command.marker));
        let environment: Vec<_> = arrived.environment().map(|(name, value)| (name.to_str(), value.to_str())).collect();
        assert_eq!(environment, [("B", "b"), ("A", "x=y"), ("EMPTY", "")].map(|(a, b)| (Some(a), Some(b))));
    }

    #[test]
    fn a_nul_byte_is_refused() {
        let command = SpawnCommand {
            program: "/bin/sh".into(),
            args: vec!["a\0b".into()],
            base_env: [].into(),
            env: Vec::new(),
            working_dir: "/".into(),
            marker: String::new(),
        };
        assert!(encode(&command).is_err());
    }
}
