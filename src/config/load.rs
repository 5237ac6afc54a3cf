//! Loading a project: layers, merged, checked, and made a [`Project`], or all that is wrong with them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use secrecy::SecretString;

use crate::model::Project;

use super::check::{self, Frame};
use super::dotenv;
use super::environment::Environment;
use super::explain::{Explained, explain};
use super::interpreter::{Lookup, Platform};
use super::layers::Layers;
use super::paths;
use super::problem::{ConfigError, Problem, ProblemKind};
use super::search::trusted_parents;
use super::settings::SettingsReader;

/// Which project to load, and how.
#[derive(Debug, Clone, Copy)]
pub struct LoadRequest<'a> {
    /// The project's folder; relative to the current one.
    pub project: &'a Path,
    /// The profile, as `--profile` names it.
    pub profile: Option<&'a str>,
    /// The environment: PATH, and the variables that override keys.
    pub env: &'a Environment,
}

/// A project that may be run.
#[derive(Debug)]
#[non_exhaustive]
pub struct Loaded {
    /// The project.
    pub project: Project,
    /// What was noticed: unknown keys and the like.
    pub warnings: Vec<Problem>,
    /// Each value and where it came from.
    pub explain: Vec<Explained>,
    /// The files that `env_file` names, the project's and the scripts'.
    pub env_files: Vec<PathBuf>,
    /// For each schedule what is to be said once it is over.
    ends: Vec<Option<Problem>>,
}

impl Loaded {
    /// Warnings of the schedules that were due once, and never are again after `now`.
    #[must_use]
    pub fn over(&self, now: Timestamp) -> Vec<Problem> {
        let schedules = self.project.schedules.iter().zip(&self.ends);
        let over = schedules.filter(|(schedule, _)| schedule.next_after(now).is_none());
        over.filter_map(|(_, problem)| problem.clone()).collect()
    }
}

/// Loads a project and checks all of it.
///
/// # Errors
/// With every problem that was found, if there is one.
pub fn load(request: &LoadRequest<'_>) -> Result<Loaded, ConfigError> {
    checked(request, None)
}

/// Checks what would be a project if its file had this text, whether there is one or not.
///
/// # Errors
/// With every problem that was found, if there is one.
pub fn load_text(request: &LoadRequest<'_>, text: &str) -> Result<Loaded, ConfigError> {
    checked(request, Some(text))
}

fn checked(request: &LoadRequest<'_>, text: Option<&str>) -> Result<Loaded, ConfigError> {
    let root = project_folder(request.project)
        .map_err(|problem| ConfigError { problems: vec![*problem], warnings: Vec::new() })?;
    let name = folder_name(&root);
    let parents = trusted_parents(&root);
    let mut layers = Layers::read(&root, &parents, request, text);
    let lookup = Lookup { root: &root, environment: request.env, platform: Platform::current() };
    let mut reader = SettingsReader::new(lookup);
    let dotenv = read_dotenv(&root, &parents, &mut layers);
    let frame = Frame {
        root: &root,
        name: &name,
        profile: request.profile,
        object: layers.object.as_ref().filter(|_| layers.problems.is_empty()),
        dotenv,
    };
    // Without the project's file, all that could be said of the rest is noise.
    let project = if layers.object.is_some() { check::project(&layers.table, frame, &mut reader) } else { None };
    let mut problems = layers.problems;
    problems.append(&mut reader.checker.problems);
    let mut warnings = layers.warnings;
    warnings.append(&mut reader.checker.warnings);
    sort(&mut problems, &layers.files);
    sort(&mut warnings, &layers.files);
    match project {
        Some(project) if problems.is_empty() => {
            let ends = std::mem::take(&mut reader.checker.ends);
            let env_files = reader.env_files.into_keys().collect();
            Ok(Loaded { explain: explain(&layers.table, &project.name), project, warnings, env_files, ends })
        }
        _ => Err(ConfigError { problems, warnings }),
    }
}

/// Loads a project with the environment of this process. Warnings go to the log of the program that calls.
///
/// # Errors
/// With every problem that was found, if there is one.
pub fn load_config(project: impl AsRef<Path>) -> Result<Project, ConfigError> {
    let env = Environment::from_process();
    let loaded = load(&LoadRequest { project: project.as_ref(), profile: None, env: &env })?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    Ok(loaded.project)
}

/// Why a folder can't be a project although it is there.
const NOT_UNICODE: &str =
    if cfg!(windows) { "the folder's path is not Unicode" } else { "the folder's path is not UTF-8" };

/// The project's folder, absolute.
fn project_folder(project: &Path) -> Result<PathBuf, Box<Problem>> {
    let not_found = |message: String| Problem::of_file(ProblemKind::FileNotFound, project, message);
    let root = paths::project_root(project).map_err(|error| Box::new(not_found(format!("not a folder: {error}"))))?;
    match std::fs::metadata(&root) {
        // Events, the history and the mail name the folder, and they are Unicode.
        Ok(_) if root.to_str().is_none() => Err(Problem::of_file(ProblemKind::Unreadable, project, NOT_UNICODE)
            .hint("rename the folder, or reach it by a link")
            .into()),
        Ok(metadata) if metadata.is_dir() => Ok(root),
        Ok(_) => Err(not_found("a project is a folder, not a file".to_owned()).hint("name the folder it is in").into()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let problem = not_found("the project's folder isn't there".to_owned());
            let elsewhere = (root != project).then(|| format!("it would be {}", root.display()));
            Err(problem.maybe_hint(elsewhere).into())
        }
        Err(error) => Err(not_found(format!("cannot look at the project's folder: {error}")).into()),
    }
}

/// The folder's name: how reports call the project.
fn folder_name(root: &Path) -> String {
    let named = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    // A path that ends in `..` doesn't tell.
    named(root)
        .or_else(|| std::fs::canonicalize(root).ok().and_then(|real| named(&real)))
        .unwrap_or_else(|| "project".to_owned())
}

/// The `.env` files that count for a project's folder, the nearest, which wins, last.
#[must_use]
pub fn dotenv_files(root: &Path) -> Vec<PathBuf> {
    dotenv_files_of(root, &trusted_parents(root)).collect()
}

/// The values of the `.env` files that count for a project, whatever its project file says, and if its folder is gone.
///
/// # Errors
/// When one of them can't be read.
pub fn dotenv_values(project: &Path) -> Result<BTreeMap<String, SecretString>, ConfigError> {
    let root = paths::project_root(project).unwrap_or_else(|_| project.to_owned());
    let mut layers = Layers::default();
    let values = read_dotenv(&root, &trusted_parents(&root), &mut layers);
    let Layers { problems, warnings, .. } = layers;
    if problems.is_empty() { Ok(values) } else { Err(ConfigError { problems, warnings }) }
}

/// The folders whose files count for a project: its own, and those parents that are searched.
#[must_use]
pub fn config_folders(root: &Path) -> Vec<PathBuf> {
    std::iter::once(root.to_owned()).chain(trusted_parents(root)).collect()
}

/// Whether a file of this name, in one of those folders, may count.
#[must_use]
pub fn is_config_file(name: &str) -> bool {
    name == ".env" || name.strip_prefix("exec_config.").is_some_and(|rest| rest.ends_with("json"))
}

fn dotenv_files_of<'a>(root: &'a Path, parents: &'a [PathBuf]) -> impl Iterator<Item = PathBuf> + use<'a> {
    let folders = parents.iter().map(PathBuf::as_path).rev().chain([root]);
    // A folder of this name is somebody's virtual environment.
    folders
        .map(|folder| folder.join(".env"))
        .filter(|file| std::fs::metadata(file).is_ok_and(|metadata| metadata.is_file()))
}

/// The values of the `.env` files of the project and its parents; the nearest wins.
fn read_dotenv(root: &Path, parents: &[PathBuf], layers: &mut Layers) -> BTreeMap<String, SecretString> {
    let mut values = BTreeMap::new();
    for file in dotenv_files_of(root, parents) {
        let read = dotenv::read(&file);
        layers.warnings.extend(dotenv::exposed(&file, &read));
        values.extend(read.values);
        layers.warnings.extend(read.warnings);
        for problem in read.problems {
            // A parent's file that is closed to this user isn't meant for this user.
            if problem.kind == ProblemKind::Unreadable && problem.line == 0 && file.parent() != Some(root) {
                layers.warnings.push(problem);
            } else {
                layers.problems.push(problem);
            }
        }
    }
    values
}

/// By layer, then by place; what has none keeps its order.
fn sort(problems: &mut [Problem], files: &[PathBuf]) {
    problems.sort_by_cached_key(|problem| {
        let layer = files.iter().position(|file| *file == problem.file).unwrap_or(files.len());
        (layer, problem.line, problem.column)
    });
}
