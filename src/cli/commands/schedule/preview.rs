//! `runner schedule preview`: when projects are due next.

use std::collections::{HashMap, HashSet};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::chart::Chart;
use crate::cli::ExitCode;
use crate::cli::args::SchedulePreviewArgs;
use crate::cli::commands::table::{Align, Cell, Table};
use crate::cli::commands::view::{BOLD, DIM};
use crate::cli::commands::{StateDir, check};
use crate::cli::output::{self, Output, styled};
use crate::config::{Environment, is_project};
use crate::model::{Project, format_duration};
use crate::schedule::{ClockChange, Habit, Play, Schedule, clock_changes, merged, week};
use crate::store::{DATABASE_FILE, ScheduleFilter, Store, StoreError, remembered_projects};

/// More rows than this, and the chart has one for each project.
const MOST_ROWS: usize = 30;
/// A line for each change of the clocks between two instants, but not for so many.
const MOST_CHANGES: usize = 2;

/// A schedule and whose it is.
struct Row<'a> {
    project: &'a Project,
    schedule: &'a Schedule,
}

/// One planned instant, and what is to be said of it.
struct Line<'a> {
    row: &'a Row<'a>,
    at: Timestamp,
    /// The changes of the zone's clocks since the schedule's instant before.
    changes: Vec<ClockChange>,
    overlap: Option<Overlap>,
}

/// The run before is probably still going on.
struct Overlap {
    since: Timestamp,
    usual: SignedDuration,
    waits: bool,
}

pub(super) fn preview(args: &SchedulePreviewArgs, state: &StateDir, output: &Output) -> ExitCode {
    let env = Environment::from_process();
    let mut code = ExitCode::Success;
    let mut projects = Vec::new();
    for folder in projects_or_known(&args.projects, state) {
        match check::load(&folder, args.profile.as_deref(), &env, output) {
            Some(loaded) => projects.push(loaded.project),
            None => code = ExitCode::Usage,
        }
    }
    let rows: Vec<Row<'_>> = projects
        .iter()
        .flat_map(|project| project.schedules.iter().map(move |schedule| Row { project, schedule }))
        .collect();
    if rows.is_empty() {
        if code == ExitCode::Success && !args.json {
            output.line(no_schedule(&projects));
        }
        return code;
    }
    let from = args.from.unwrap_or_else(Timestamp::now);
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let lines = lines(&rows, from, limit, &habits(&projects, state, output));
    let mut stdout = anstream::stdout();
    let written = if args.json {
        lines.iter().try_for_each(|line| writeln!(stdout, "{}", object(line)))
    } else {
        write(&rows, &lines, from, output, &mut stdout)
    };
    match written.and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            output.error(format!("{} cannot write the answer: {error}", styled(output::BAD, "error:")));
            ExitCode::CannotWork
        }
        _ => code,
    }
}

/// The folders named, else the one that one stands in if it is a project, else all that have been run here, or of which somebody
/// keeps a schedule, and that are there.
pub(super) fn projects_or_known(named: &[PathBuf], state: &StateDir) -> Vec<PathBuf> {
    let here = PathBuf::from(".");
    if !named.is_empty() {
        named.to_vec()
    } else if is_project(&here) {
        vec![here]
    } else {
        let mut folders = state.path().map(remembered_projects).unwrap_or_default();
        folders.extend(kept_folders(state));
        let mut real = HashSet::new();
        folders
            .retain(|folder| is_project(folder) && std::fs::canonicalize(folder).is_ok_and(|path| real.insert(path)));
        folders
    }
}

/// Where the projects lie of which somebody keeps a schedule.
fn kept_folders(state: &StateDir) -> Vec<PathBuf> {
    let rows = read(state, async |store| store.schedules(&ScheduleFilter::default()).await);
    // What is wrong with the database is said where it is needed.
    let rows = rows.and_then(Result::ok).unwrap_or_default();
    rows.into_iter().map(|row| row.project_dir).collect()
}

/// Reads in the state database. `None`: there is none, and none is made.
fn read<T>(
    state: &StateDir,
    read: impl AsyncFnOnce(&mut Store) -> Result<T, StoreError>,
) -> Option<Result<T, StoreError>> {
    let dir = state.path().filter(|dir| dir.join(DATABASE_FILE).exists())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    Some(runtime.block_on(async {
        let mut store = Store::open(dir).await?;
        let found = read(&mut store).await?;
        store.leave_open();
        Ok(found)
    }))
}

fn no_schedule(projects: &[Project]) -> String {
    match projects {
        [] => "No project is known here: name one, or run one first with `runner run FOLDER`.".to_owned(),
        [one] => format!("{} has no schedule; the key `schedule` in its project file says when it runs.", one.name),
        _ => {
            "None of these projects has a schedule; the key `schedule` in a project file says when it runs.".to_owned()
        }
    }
}

/// How long runs of projects usually take, by their folders: the sum of what their scripts do. Without a database nothing
/// is known, and nothing is made.
fn habits(projects: &[Project], state: &StateDir, output: &Output) -> HashMap<PathBuf, Habit> {
    let mut habits = HashMap::new();
    let learned = read(state, async |store| {
        for project in projects {
            let usual = store.usual_durations(&project.root, project.profile.as_deref()).await?;
            let of_script = |path: &Path| usual.get(&path.display().to_string()).copied();
            let sum: std::time::Duration = project.scripts.iter().filter_map(|script| of_script(&script.path)).sum();
            if let Some(usual) = SignedDuration::try_from(sum).ok().filter(|usual| usual.is_positive()) {
                let allow = usize::try_from(project.overlap.allow).unwrap_or(usize::MAX);
                habits.insert(project.root.clone(), Habit { usual, allow, waits: project.overlap.wait.is_some() });
            }
        }
        Ok(())
    });
    if let Some(Err(error)) = learned {
        let what = styled(output::WARNING, "warning:");
        output.error(format!("{what} how long runs usually take isn't known: {}", error.sentence()));
    }
    habits
}

/// The next instants with what is to be said of them. What began before is played through, too: it may go on.
fn lines<'a>(rows: &'a [Row<'a>], from: Timestamp, limit: usize, habits: &HashMap<PathBuf, Habit>) -> Vec<Line<'a>> {
    let schedules: Vec<&Schedule> = rows.iter().map(|row| row.schedule).collect();
    let longest =
        habits.values().map(|habit| habit.usual).max().unwrap_or_default().min(SignedDuration::from_hours(24));
    let mut plays: HashMap<&Path, (Habit, Play)> =
        habits.iter().map(|(root, habit)| (root.as_path(), (*habit, Play::new(*habit)))).collect();
    let mut before = vec![from; rows.len()];
    let mut lines = Vec::new();
    for planned in merged(&schedules, from.checked_sub(longest).unwrap_or(Timestamp::MIN)) {
        if lines.len() == limit {
            break;
        }
        let (Some(row), Some(before)) = (rows.get(planned.schedule), before.get_mut(planned.schedule)) else {
            continue;
        };
        let overlap = plays.get_mut(row.project.root.as_path()).and_then(|(habit, play)| {
            let since = play.plan(planned.at)?;
            Some(Overlap { since, usual: habit.usual, waits: habit.waits })
        });
        if planned.at > from {
            let changes = clock_changes(&row.schedule.zone, *before, planned.at).collect();
            *before = planned.at;
            lines.push(Line { row, at: planned.at, changes, overlap });
        }
    }
    lines
}

fn object(line: &Line<'_>) -> serde_json::Value {
    let schedule = line.row.schedule;
    json!({
        "project": line.row.project.name,
        "path": line.row.project.root,
        "schedule": schedule.name,
        "planned_utc": line.at.to_string(),
        "planned_local": local(line.at, &schedule.zone, "%Y-%m-%dT%H:%M:%S%.f%:z"),
        "timezone": zone_name(&schedule.zone),
        "jitter_seconds": schedule.jitter.as_secs_f64(),
        "dst": line.changes.last().map(|change| json!({
            "at": change.at.to_string(),
            "forward_seconds": change.by.as_secs(),
        })),
        "overlap": line.overlap.as_ref().map(|overlap| json!({
            "running_since": overlap.since.to_string(),
            "usual_seconds": overlap.usual.as_secs_f64(),
            "then": if overlap.waits { "wait" } else { "skip" },
        })),
    })
}

fn write(
    rows: &[Row<'_>],
    lines: &[Line<'_>],
    from: Timestamp,
    output: &Output,
    out: &mut dyn Write,
) -> io::Result<()> {
    if lines.is_empty() {
        return writeln!(out, "Nothing is due after {}.", local(from, &TimeZone::system(), "%Y-%m-%d %H:%M:%S %:z"));
    }
    let several = |differs: &dyn Fn(&Row<'_>) -> bool| rows.iter().any(differs);
    let zones = several(&|row| zone_name(&row.schedule.zone) != zone_name(&rows[0].schedule.zone));
    let projects = several(&|row| row.project.root != rows[0].project.root);
    let names = several(&|row| !std::ptr::eq(row.schedule, rows[0].schedule));
    let zone_head = if zones { "TIME ZONE" } else { "OFFSET" };
    let mut table = Table::new(&[
        ("LOCAL TIME", Align::Left),
        (zone_head, Align::Left),
        ("UTC", Align::Left),
        ("PROJECT", Align::Left),
        ("SCHEDULE", Align::Left),
        ("", Align::Left),
    ]);
    for line in lines {
        let schedule = line.row.schedule;
        let offset = local(line.at, &schedule.zone, "%:z");
        table.row(vec![
            Cell::styled(local(line.at, &schedule.zone, "%a %Y-%m-%d %H:%M:%S%.f"), BOLD),
            if zones { format!("{offset} {}", zone_name(&schedule.zone)) } else { offset }.into(),
            local(line.at, &TimeZone::UTC, "%m-%d %H:%M:%S").into(),
            if projects { line.row.project.name.as_str() } else { "" }.into(),
            if names { schedule.name.as_str() } else { "" }.into(),
            Cell::styled(note(line), output::WARNING),
        ]);
    }
    if !zones {
        writeln!(out, "{}, {}", line_title(lines[0].row, projects), zone_name(&rows[0].schedule.zone))?;
    }
    let mut text = Vec::new();
    table.write(&mut text, output.color)?;
    let text = String::from_utf8_lossy(&text);
    let mut told: Vec<(String, Timestamp)> = Vec::new();
    for (index, printed) in text.lines().enumerate() {
        if let Some(line) = index.checked_sub(1).and_then(|index| lines.get(index)) {
            for text in marks(line, &mut told) {
                writeln!(out, "{}", if output.color { styled(DIM, text) } else { text })?;
            }
        }
        writeln!(out, "{printed}")?;
    }
    writeln!(out)?;
    write_week(rows, from, out)
}

/// Whose instants they are.
fn line_title(row: &Row<'_>, several: bool) -> String {
    if several { "Several projects".to_owned() } else { row.project.name.clone() }
}

/// What stands behind an instant.
fn note(line: &Line<'_>) -> String {
    let mut notes = Vec::new();
    if let Some(Overlap { since, usual, waits }) = &line.overlap {
        let since = local(*since, &line.row.schedule.zone, "%H:%M:%S");
        let then = if *waits { "would wait" } else { "would be skipped" };
        notes.push(format!("likely still running since {since} (usually {}): {then}", for_people(*usual)));
    }
    if line.row.schedule.jitter.is_positive() {
        notes.push(format!("up to {} later", for_people(line.row.schedule.jitter)));
    }
    notes.join("; ")
}

/// The changes of the clocks before an instant that were not told of yet.
fn marks(line: &Line<'_>, told: &mut Vec<(String, Timestamp)>) -> Vec<String> {
    let zone = &line.row.schedule.zone;
    let name = zone_name(zone).to_owned();
    let new: Vec<&ClockChange> =
        line.changes.iter().filter(|change| !told.contains(&(name.clone(), change.at))).collect();
    told.extend(new.iter().map(|change| (name.clone(), change.at)));
    if new.len() > MOST_CHANGES {
        return vec![format!("    the clocks of {name} change {} times", new.len())];
    }
    let mark = |change: &&ClockChange| {
        let way = if change.by.is_positive() { "forward" } else { "back" };
        let before = change.at.checked_sub(SignedDuration::from_nanos(1)).unwrap_or(change.at);
        // The time at which it happens, as the clocks show it before.
        let at = zone.to_offset(before).to_datetime(change.at).strftime("%a %Y-%m-%d %H:%M").to_string();
        format!("    {at}: the clocks of {name} go {way} {}", for_people(change.by.abs()))
    };
    new.iter().map(mark).collect()
}

/// The week that begins on the day of `from`, in the one zone of all schedules or else the machine's.
fn write_week(rows: &[Row<'_>], from: Timestamp, out: &mut dyn Write) -> io::Result<()> {
    let one = rows.iter().all(|row| zone_name(&row.schedule.zone) == zone_name(&rows[0].schedule.zone));
    let zone = if one { rows[0].schedule.zone.clone() } else { TimeZone::system() };
    let mut groups: Vec<(String, Vec<&Schedule>)> = Vec::new();
    let by_project = rows.len() > MOST_ROWS;
    let projects = rows.iter().any(|row| row.project.root != rows[0].project.root);
    let mut last: Option<&Path> = None;
    for row in rows {
        let same_project = last == Some(&row.project.root);
        last = Some(&row.project.root);
        match groups.last_mut() {
            Some((_, schedules)) if by_project && same_project => schedules.push(row.schedule),
            _ if by_project => groups.push((row.project.name.clone(), vec![row.schedule])),
            _ if projects && row.project.schedules.len() == 1 => {
                groups.push((row.project.name.clone(), vec![row.schedule]));
            }
            _ if projects => groups.push((format!("{} {}", row.project.name, row.schedule.name), vec![row.schedule])),
            _ => groups.push((row.schedule.name.clone(), vec![row.schedule])),
        }
    }
    let stdout = io::stdout();
    let columns = terminal_size::terminal_size_of(&stdout).map_or(100, |(width, _)| usize::from(width.0));
    let hours = if columns >= Chart::width(12) { 2 } else { 4 };
    let first = from.to_zoned(zone.clone()).date();
    let charted: Vec<(String, Vec<usize>)> =
        groups.into_iter().map(|(name, schedules)| (name, week(&schedules, &zone, first, hours))).collect();
    let slots_a_day = 24 / usize::try_from(hours).unwrap_or(2);
    let chart = Chart { first, slots_a_day, rows: &charted, unicode: shows_unicode(stdout.is_terminal()) };
    writeln!(out, "The week from {first}, {hours} hours a sign, time of {}", zone_name(&zone))?;
    chart.lines().iter().try_for_each(|line| writeln!(out, "{line}"))
}

/// Whether the terminal shows more than ASCII: where the locale says so; Windows' always do.
fn shows_unicode(terminal: bool) -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(|name| std::env::var(name).ok());
    let locale = locale.into_iter().find(|value| !value.is_empty()).unwrap_or_default().to_ascii_uppercase();
    terminal && (cfg!(windows) || locale.contains("UTF-8") || locale.contains("UTF8"))
}

fn local(at: Timestamp, zone: &TimeZone, form: &str) -> String {
    at.to_zoned(zone.clone()).strftime(form).to_string()
}

fn zone_name(zone: &TimeZone) -> &str {
    zone.iana_name().unwrap_or("UTC")
}

fn for_people(duration: SignedDuration) -> String {
    format_duration(duration.unsigned_abs())
}
