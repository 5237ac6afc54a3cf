//! The folder for files that scripts attach to their run.

use std::io;
use std::path::Path;

use crate::model::AttachedFile;

/// Its name in the run's folder.
pub(super) const FOLDER: &str = "files";
/// So many entries, folders among them, are looked at.
const MOST: usize = 1000;

/// What lies in the folder at the run's end, by name. A folder in which nothing lies is taken away.
/// With a word of what is not in the list.
pub(super) fn collect(folder: &Path) -> (Vec<AttachedFile>, Option<String>) {
    // It goes only if it is empty.
    if std::fs::remove_dir(folder).is_ok() {
        return (Vec::new(), None);
    }
    let mut files = Vec::new();
    let trouble = match list(folder, &mut files) {
        Ok(true) => None,
        Ok(false) => {
            let folder = folder.display();
            Some(format!("there is more in {folder} than {MOST} files and folders: the report lists only those"))
        }
        // A script has taken it away.
        Err(error) if error.kind() == io::ErrorKind::NotFound && files.is_empty() => None,
        Err(error) => Some(format!("cannot list all files in {}: {error}", folder.display())),
    };
    files.sort_by(|a, b| a.name.cmp(&b.name));
    (files, trouble)
}

/// Lists regular files; false if there was more than is looked at. Links are neither followed nor listed: they may lead
/// anywhere.
fn list(folder: &Path, files: &mut Vec<AttachedFile>) -> io::Result<bool> {
    let mut folders = vec![(folder.to_owned(), String::new())];
    let mut seen = 0;
    while let Some((folder, below)) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            seen += 1;
            if seen > MOST {
                return Ok(false);
            }
            let entry = entry?;
            let name = format!("{below}{}", entry.file_name().to_string_lossy());
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push((entry.path(), format!("{name}/")));
            } else if kind.is_file() {
                files.push(AttachedFile { name, bytes: entry.metadata()?.len() });
            }
        }
    }
    Ok(true)
}
