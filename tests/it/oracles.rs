//! The triggers against APScheduler and croniter, on random expressions. Where they differ, the reason is in
//! [`DIFFERENCES`] and in docs/schedule.md, or it is a mistake.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use project_runner::schedule::{ByField, Cron, Dst, Trigger, clock_changes, instants};
use serde_json::{Value, json};

/// Questions to each of them.
const QUESTIONS: usize = 1000;
/// Instants asked for by each question.
const COUNT: usize = 6;
/// The last instant asked for: the end of 2100.
const UNTIL: i64 = 4_133_980_799;

/// A reason, and whether it is the one.
type Difference = (&'static str, fn(&Asked) -> bool);

/// Where others differ, and why: an answer of theirs is not compared if one of these holds.
const DIFFERENCES: [Difference; 7] = [
    ("croniter gives up when there is nothing within 50 years, and has no answer then", |asked| {
        asked.theirs.as_str().is_some_and(|error| error.starts_with("CroniterBadDateError"))
    }),
    ("APScheduler has both day fields match, where cron has either suffice", |asked| {
        let fields: Vec<&str> = asked.text.split(' ').collect();
        asked.peer == "APScheduler crontab"
            && fields.len() == 5
            && [fields[2], fields[4]].iter().all(|day| !day.starts_with('*'))
    }),
    ("croniter, set to Vixie's rule, takes a range from a number to itself for any", |asked| {
        let same = |item: &str| item.split_once('-').is_some_and(|(from, to)| from == to);
        asked.peer == "croniter" && asked.text.split([' ', ',']).any(same)
    }),
    ("croniter passes over the first of a month after one that lacks a day of the list", |asked| {
        let theirs: Vec<i64> = asked.theirs.as_array().into_iter().flatten().filter_map(Value::as_i64).collect();
        let differs = (0..asked.ours.len()).find(|at| theirs.get(*at) != asked.ours.get(*at));
        differs.is_some_and(|at| {
            let due = Timestamp::from_second(asked.ours[at]).unwrap().to_zoned(TimeZone::UTC).date();
            let is_later = theirs.get(at).is_none_or(|theirs| *theirs > asked.ours[at]);
            asked.peer == "croniter" && is_later && due.day() == 1 && due.yesterday().unwrap().day() < 31
        })
    }),
    (
        "APScheduler leaves out what matches in the first hour of a day, if the clocks changed while it looked for it",
        |asked| {
            let theirs: Vec<i64> = asked.theirs.as_array().into_iter().flatten().filter_map(Value::as_i64).collect();
            let Some(at) = (0..asked.ours.len()).find(|at| theirs.get(*at) != asked.ours.get(*at)) else {
                return false;
            };
            let (zone, instant) = (TimeZone::get(asked.zone).unwrap(), |at: i64| Timestamp::from_second(at).unwrap());
            let begin = instant(if at == 0 { asked.after } else { asked.ours[at - 1] });
            let left_out = theirs.get(at).is_none_or(|theirs| *theirs > asked.ours[at]);
            let due = instant(asked.ours[at]);
            let first_hour = zone.to_datetime(due).hour() == 0;
            asked.peer != "croniter" && left_out && first_hour && clock_changes(&zone, begin, due).next().is_some()
        },
    ),
    ("APScheduler looks for what is rare day by day, and isn't done within a second", |asked| {
        asked.theirs.as_str().is_some_and(|error| error.starts_with("TimeoutError"))
    }),
    ("both have other rules, or none, for the days on which the clocks change", |asked| asked.changes_clocks),
];

/// A question and both answers.
struct Asked {
    peer: &'static str,
    text: String,
    zone: &'static str,
    after: i64,
    ours: Vec<i64>,
    theirs: Value,
    /// Whether they are asked about a day on which the clocks change.
    changes_clocks: bool,
}

/// A small generator of random numbers (SplitMix64): the same seed gives the same questions.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % end
    }

    fn of<T: Copy>(&mut self, items: &[T]) -> T {
        items[usize::try_from(self.below(items.len() as u64)).unwrap()]
    }

    fn number(&mut self, min: u64, max: u64) -> u64 {
        min + self.below(max - min + 1)
    }

    /// A field that all of them read in the same way.
    fn field(&mut self, min: u64, max: u64) -> String {
        let (a, b) = (self.number(min, max), self.number(min, max));
        let (low, high) = (a.min(b), a.max(b));
        match self.below(8) {
            0..3 => "*".to_owned(),
            3..5 => a.to_string(),
            5 => format!("{low}-{high}"),
            6 if low < high => format!("{low},{high}"),
            6 => low.to_string(),
            _ => format!("*/{}", self.number(1, (max - min).min(12))),
        }
    }

    fn weekday(&mut self) -> String {
        let days = ["mon", "tue", "wed", "thu", "fri", "sat"];
        match self.below(5) {
            0..3 => "*".to_owned(),
            3 => self.of(&days).to_owned(),
            _ => {
                let from = usize::try_from(self.below(5)).unwrap();
                format!("{}-{}", days[from], days[from + 1])
            }
        }
    }

    fn after(&mut self) -> i64 {
        946_684_800 + i64::try_from(self.below(3_155_000_000)).unwrap() // 2000 to 2099
    }
}

/// Whose rules no government has changed lately: they may have the database in another version.
const ZONES: [&str; 6] =
    ["UTC", "Europe/Paris", "America/Chicago", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Chatham"];

/// A question, and our answer to it.
fn question(random: &mut Random, peer: &'static str) -> (Asked, Value) {
    let zone = if peer == "croniter" { "UTC" } else { random.of(&ZONES) };
    let tz = TimeZone::get(zone).unwrap();
    let after = random.after();
    let mut text = format!("{} {}", random.field(0, 59), random.field(0, 23));
    let mut asked = json!({"zone": zone, "after": after, "until": UNTIL, "count": COUNT});
    let trigger = if peer == "APScheduler fields" {
        let day = match random.below(4) {
            0 => format!(
                "{} {}",
                random.of(&["1st", "2nd", "3rd", "4th", "5th", "last"]),
                random.of(&["mon", "thu", "sun"])
            ),
            1 => "last".to_owned(),
            _ => random.field(1, 28),
        };
        let (minute, hour) = text.split_once(' ').unwrap();
        let mut fields = json!({"minute": minute, "hour": hour, "day": day, "month": random.field(1, 12)});
        for (key, value) in
            [("week", random.field(1, 52)), ("day_of_week", random.weekday()), ("second", random.field(0, 59))]
        {
            if random.below(3) == 0 {
                fields[key] = json!(value);
            }
        }
        let of = |key: &str| fields[key].as_str().map(str::to_owned);
        let by = ByField {
            month: of("month"),
            day: of("day"),
            week: of("week"),
            day_of_week: of("day_of_week"),
            hour: of("hour"),
            minute: of("minute"),
            second: of("second"),
            ..ByField::default()
        };
        text = fields.to_string();
        asked["apscheduler"] = json!({"fields": fields});
        Cron::from_fields(&by, tz.clone(), Dst::default()).unwrap()
    } else {
        text = format!("{text} {} {} {}", random.field(1, 31), random.field(1, 12), random.weekday());
        if peer == "croniter" {
            match random.below(8) {
                0 => text = format!("{} {text}", random.field(0, 59)),
                1 => {
                    text =
                        format!("{} L {} *", text.split(' ').take(2).collect::<Vec<_>>().join(" "), random.field(1, 12))
                }
                2 => {
                    text = format!(
                        "{} * * fri#{}",
                        text.split(' ').take(2).collect::<Vec<_>>().join(" "),
                        random.number(1, 5)
                    )
                }
                _ => {}
            }
            asked["croniter"] = json!(text);
        } else {
            asked["apscheduler"] = json!({"crontab": text});
        }
        Cron::parse(&text, tz.clone(), Dst::default()).unwrap()
    };
    let from = Timestamp::from_second(after).unwrap();
    let ours: Vec<i64> = instants(&Trigger::Cron(trigger), from)
        .map(Timestamp::as_second)
        .take_while(|at| *at <= UNTIL)
        .take(COUNT)
        .collect();
    (Asked { peer, text, zone, after, ours, theirs: Value::Null, changes_clocks: false }, asked)
}

/// Asks all of them at once: Python takes its time to start.
fn ask(python: &Path, questions: &[Value]) -> Vec<Value> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles/next_times.py");
    let mut child = Command::new(python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(json!(questions).to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "the script failed");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The Python that has the modules, or a word of why the test is skipped.
fn oracles() -> Option<PathBuf> {
    if cfg!(windows) {
        println!("skipped: the virtual environment is one of Linux; what is asked doesn't differ here");
        return None;
    }
    let python = PathBuf::from(std::env::var_os("RUNNER_ORACLES").unwrap_or_default()).join("bin/python");
    let usable = Command::new(&python)
        .args(["-c", "import apscheduler, croniter"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !usable {
        println!("skipped: RUNNER_ORACLES names no virtual environment with apscheduler and croniter");
    }
    usable.then_some(python)
}

/// The first instant in which the answers differ, if they do.
fn first_difference(asked: &Asked) -> Option<i64> {
    let Some(theirs) = asked.theirs.as_array() else { return Some(asked.ours.first().copied().unwrap_or(UNTIL)) };
    let theirs: Vec<i64> = theirs.iter().filter_map(Value::as_i64).collect();
    let at = (0..COUNT).find(|index| asked.ours.get(*index) != theirs.get(*index))?;
    [asked.ours.get(at), theirs.get(at)].into_iter().flatten().min().copied()
}

/// Whether the clocks change within a day of an instant.
fn clocks_change(zone: &str, at: i64) -> bool {
    let at = Timestamp::from_second(at).unwrap();
    let day = SignedDuration::from_hours(26);
    clock_changes(&TimeZone::get(zone).unwrap(), at - day, at + day).next().is_some()
}

#[test]
fn others_are_due_at_the_same_instants() {
    let Some(python) = oracles() else { return };
    // Other questions are asked by RUNNER_ORACLES_SEED: what they find is a matter of the peers as often as not.
    let further = std::env::var("RUNNER_ORACLES_SEED").ok().and_then(|seed| seed.parse().ok());
    for seed in [Some(20_261_123), further].into_iter().flatten() {
        println!("seed {seed}");
        let mut random = Random(seed);
        let peers = ["croniter", "APScheduler fields", "APScheduler crontab"];
        let (mut asked, questions): (Vec<Asked>, Vec<Value>) =
            (0..QUESTIONS * peers.len()).map(|index| question(&mut random, peers[index % peers.len()])).unzip();
        for (asked, theirs) in asked.iter_mut().zip(ask(&python, &questions)) {
            asked.theirs = theirs;
        }
        let mut listed = [0; DIFFERENCES.len()];
        let mut wrong = Vec::new();
        for asked in &mut asked {
            let Some(at) = first_difference(asked) else { continue };
            asked.changes_clocks = clocks_change(asked.zone, at);
            match DIFFERENCES.iter().position(|(_, holds)| holds(asked)) {
                Some(place) => listed[place] += 1,
                None => wrong.push(format!(
                    "{}: {} in {}: at {at}: {:?}, {}",
                    asked.peer, asked.text, asked.zone, asked.ours, asked.theirs
                )),
            }
        }
        for ((reason, _), count) in DIFFERENCES.iter().zip(listed) {
            println!("{count} of {}: {reason}", asked.len());
        }
        assert!(wrong.is_empty(), "{} unlisted:\n{}", wrong.len(), wrong[..wrong.len().min(20)].join("\n"));
    }
}
