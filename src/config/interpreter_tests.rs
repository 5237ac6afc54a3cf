use std::ffi::OsString;

use tempfile::TempDir;

use super::*;

/// A folder with programs.
struct Machine {
    root: TempDir,
    environment: Environment,
    platform: Platform,
}

impl Machine {
    /// Files that are there and executable, and the folders of PATH.
    fn new(platform: Platform, files: &[&str], path: &[&str]) -> Self {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("p")).unwrap();
        for file in files {
            let file = root.path().join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, "x").unwrap();
            #[cfg(unix)]
            std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        }
        let separator = if platform == Platform::Windows { ";" } else { ":" };
        let folders: Vec<OsString> = path
            .iter()
            .map(
                |folder| {
                    if folder.starts_with('.') { folder.into() } else { root.path().join(folder).into_os_string() }
                },
            )
            .collect();
        let environment = Environment::from_pairs([("PATH", folders.join(separator.as_ref()))]);
        Self { root, environment, platform }
    }

    fn find(&self, program: &str, args: &[&str]) -> Result<String, NoInterpreter> {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let root = self.root.path().join("p");
        let lookup = Lookup { root: &root, environment: &self.environment, platform: self.platform };
        lookup.find(program, &args).map(|found| {
            assert!(found.is_absolute());
            found.strip_prefix(self.root.path()).unwrap().to_string_lossy().replace('\\', "/")
        })
    }

    #[cfg(unix)]
    fn hint(&self, program: &str) -> String {
        self.find(program, &[]).unwrap_err().hint.unwrap_or_default()
    }
}

#[test]
#[cfg(unix)]
fn bare_names_are_found_on_path_only() {
    let machine = Machine::new(
        Platform::Unix,
        &["a/python3", "b/python3", "p/python", "p/tools/python"],
        &[".", "./tools", "none", "a", "b"],
    );
    assert_eq!(machine.find("python3", &[]).unwrap(), "a/python3");
    let error = machine.find("python", &[]).unwrap_err();
    assert_eq!(error.message, "`python` isn't found; looked in the 3 folders of PATH");
    assert_eq!(machine.hint("python"), "a program of the project is named with a separator: \"./python\"");
    assert_eq!(machine.find("./python", &[]).unwrap(), "p/python");
    assert_eq!(machine.find("tools/python", &[]).unwrap(), "p/tools/python");
    std::fs::remove_file(machine.root.path().join("p/python")).unwrap();
    assert_eq!(machine.hint("python"), "python3 is on PATH");
    assert_eq!(machine.hint("python3 -u -X dev"), r#"a string is one program; write ["python3","-u","-X","dev"]"#);
    assert!(machine.hint("ruby").starts_with("install it"));
    assert!(machine.find("", &[]).is_err());
}

#[test]
#[cfg(unix)]
fn only_executable_files_are_programs() {
    let machine = Machine::new(Platform::Unix, &["a/python"], &["a"]);
    let file = machine.root.path().join("a/python");
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    assert!(machine.find("python", &[]).is_err());
    assert_eq!(
        machine.hint("../a/python"),
        format!("chmod +x {}", machine.root.path().join("p/../a/python").display())
    );
    assert!(machine.find("../a/", &[]).unwrap_err().message.ends_with("is a folder"));
}

#[test]
#[cfg(unix)]
fn a_virtual_environment_of_windows_is_found_on_unix() {
    let machine =
        Machine::new(Platform::Unix, &["p/.venv/bin/python", "p/.venv/bin/python3", "p/env x/bin/python"], &[]);
    for (program, found) in [
        (".venv/bin/python", "p/.venv/bin/python"),
        (".venv/Scripts/python", "p/.venv/bin/python"),
        (".venv/scripts/python.exe", "p/.venv/bin/python"),
        (".\\.venv\\Scripts\\python3.EXE", "p/.venv/bin/python3"),
        ("env x\\Scripts\\python.exe", "p/env x/bin/python"),
    ] {
        assert_eq!(machine.find(program, &[]).as_deref(), Ok(found), "{program}");
    }
    assert_eq!(
        machine.hint("venv/Scripts/python"),
        "make the virtual environment in the project's folder: python -m venv venv"
    );
    assert_eq!(
        machine.hint("C:\\Python312\\python.exe"),
        "this is a path of Windows; name the program as this system has it"
    );
    assert!(
        machine.find("x/Scripts/python", &[]).unwrap_err().message.contains("x/bin/python"),
        "says where it looked"
    );
}

#[test]
#[cfg(unix)]
fn links_stay_as_they_are_named() {
    let machine = Machine::new(Platform::Unix, &["usr/python3.12"], &[]);
    let folder = machine.root.path().join("p/.venv/bin");
    std::fs::create_dir_all(&folder).unwrap();
    std::os::unix::fs::symlink(machine.root.path().join("usr/python3.12"), folder.join("python")).unwrap();
    assert_eq!(machine.find(".venv/bin/python", &[]).unwrap(), "p/.venv/bin/python");
}

#[test]
fn windows_adds_the_ending_of_programs() {
    let machine = Machine::new(
        Platform::Windows,
        &["a/python", "a/tool.cmd", "b/python.exe", "b/python3.11.exe", "p/.venv/Scripts/python.exe", "p/run.bat"],
        &["a", "b"],
    );
    for (program, found) in [
        ("python", "b/python.exe"),
        ("python.exe", "b/python.exe"),
        ("python3.11", "b/python3.11.exe"),
        ("tool", "a/tool.cmd"),
        (".venv/Scripts/python", "p/.venv/Scripts/python.exe"),
        (".venv/bin/python", "p/.venv/Scripts/python.exe"),
        (".venv/bin/python3", "p/.venv/Scripts/python.exe"),
        ("./run", "p/run.bat"),
    ] {
        assert_eq!(machine.find(program, &[]).as_deref(), Ok(found), "{program}");
    }
    assert!(machine.find("run", &[]).is_err(), "the project isn't on PATH");
}

#[test]
fn the_stores_stand_in_is_refused() {
    let stub = "Local/Microsoft/WindowsApps/python.exe";
    let machine = Machine::new(Platform::Windows, &[stub, "b/python.exe"], &["Local/Microsoft/WindowsApps", "b"]);
    std::fs::write(machine.root.path().join(stub), "").unwrap();
    assert_eq!(machine.find("python", &[]).as_deref(), Ok("b/python.exe"), "another one is taken");
    std::fs::remove_file(machine.root.path().join("b/python.exe")).unwrap();
    let error = machine.find("python", &[]).unwrap_err();
    assert!(error.message.contains("Microsoft Store's stand-in"), "{error:?}");
    assert!(error.hint.unwrap().contains("App execution aliases"));
    assert!(machine.find(&format!("../{stub}"), &[]).unwrap_err().message.contains("stand-in"));
}

#[test]
fn cmd_has_to_be_told_to_run() {
    // A list of folders as Unix writes it can't hold a drive's letter.
    let platforms = if cfg!(windows) { &[Platform::Windows][..] } else { &[Platform::Unix, Platform::Windows] };
    for &platform in platforms {
        let machine = Machine::new(platform, &["a/cmd.exe"], &["a"]);
        for program in ["cmd", "CMD.EXE", "C:\\Windows\\System32\\cmd.exe"] {
            let error = machine.find(program, &["/d"]).unwrap_err();
            assert_eq!(error.hint.as_deref(), Some(r#"write ["cmd", "/d", "/c"]"#), "{program}");
        }
        assert_eq!(machine.find("cmd.exe", &["/D", "/C"]).as_deref(), Ok("a/cmd.exe"));
    }
}
