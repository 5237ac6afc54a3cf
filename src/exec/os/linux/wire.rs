//! What the runner and its guardian say to each other.
//!
//! On the main socket the runner sends orders: four bytes of length (little-endian), then the command, and with the
//! first byte three file descriptors: the script's standard output and error, and the guardian's end of the order's
//! own socket. On that socket the guardian answers with JSON lines, and the runner sends single bytes.

use std::ffi::{CStr, OsStr};
use std::io;
use std::os::unix::ffi::OsStrExt;

use serde::{Deserialize, Serialize};

use crate::model::Leaked;
use crate::plan::SpawnCommand;

/// The runner asks the script and its descendants to end (SIGTERM).
pub(super) const ASK: u8 = b'T';
/// The runner has the script and its descendants killed; answered with [`Reply::Killed`].
pub(super) const KILL: u8 = b'K';
/// The runner wants to know who is left; answered with [`Reply::Survivors`].
pub(super) const LIST: u8 = b'L';

/// The runner lets go on who is left, for ever; answered with [`Reply::Survivors`]: the last time they are known.
pub(super) const LEAVE: u8 = b'G';

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
        elapsed_us: u64,
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
                // Not the text itself: it may be a secret.
                let message = "an argument or a variable contains a NUL byte, which no program can be given";
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

/// A command as the guardian reads it: in place, since it is handed to the system as it came.
#[derive(Debug)]
pub(super) struct Order<'a> {
    pub(super) program: &'a CStr,
    pub(super) working_dir: &'a CStr,
    pub(super) marker: &'a str,
    pub(super) args: Vec<&'a CStr>,
    /// `NAME=value` each.
    pub(super) env: Vec<&'a CStr>,
}

/// Reads what [`encode`] wrote, without the length.
pub(super) fn decode(bytes: &[u8]) -> Option<Order<'_>> {
    let (count, mut texts) = bytes.split_first_chunk::<4>()?;
    let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
    let mut next = || {
        let text = CStr::from_bytes_until_nul(texts).ok()?;
        texts = &texts[text.count_bytes() + 1..];
        Some(text)
    };
    let program = next()?;
    let working_dir = next()?;
    let marker = next()?.to_str().ok()?;
    let args = (0..count).map(|_| next()).collect::<Option<Vec<_>>>()?;
    let env = std::iter::from_fn(next).collect();
    Some(Order { program, working_dir, marker, args, env })
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn a_command_arrives_as_it_was_sent() {
        let command = SpawnCommand {
            program: "/usr/bin/python3".into(),
            args: vec!["a b.py".into(), "".into(), OsString::from_vec(vec![0xff, b'\n', b'"'])],
            base_env: [("A".into(), "old".into()), ("B".into(), "b".into())].into(),
            env: vec![("A".into(), "x=y".into()), ("EMPTY".into(), "".into())],
            working_dir: "/srv/pro ject".into(),
            marker: "RUNNER_ATTEMPT_ID=39be3d37aed64.1.1".into(),
        };
        let bytes = encode(&command).unwrap();
        assert_eq!(u32::from_le_bytes(bytes[..4].try_into().unwrap()) as usize, bytes.len() - 4);
        let arrived = decode(&bytes[4..]).unwrap();
        assert_eq!((arrived.program, arrived.working_dir), (c"/usr/bin/python3", c"/srv/pro ject"));
        assert_eq!(arrived.marker, command.marker);
        assert_eq!(arrived.args, [c"a b.py", c"", c"\xff\n\""]);
        assert_eq!(arrived.env, [c"B=b", c"A=x=y", c"EMPTY="]);
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
