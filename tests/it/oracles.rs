//! The triggers against APScheduler and croniter, on random expressions. Where they differ, the reason is in
//! [`DIFFERENCES`] and in docs/schedule.md, or it is a mistake.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use jiff::civil::time;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use project_runner::schedule::{ByField, CalendarStep, Cron, Dst, Trigger, clock_changes, instants};
use serde_json::{Value, json};

/// Questions of each kind, unless RUNNER_ORACLES_QUESTIONS has another number.
const QUESTIONS: usize = 300;
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
    ("APScheduler looks for what is rare day by day, and isn't done within half a second", |asked| {
        asked.theirs.as_str().is_some_and(|error| error.starts_with("TimeoutError"))
    }),
    ("APScheduler counts months from the day before, where we count them from the first, if days are added", |asked| {
        let form: Value = serde_json::from_str(&asked.text).unwrap_or_default();
        let step = |keys: [&str; 2]| keys.iter().any(|key| form["calendar"][key].as_i64().unwrap_or_default() > 0);
        step(["years", "months"]) && step(["weeks", "days"])
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

/// Who is asked, and for what.
const PEERS: [&str; 8] = [
    "croniter",
    "APScheduler fields",
    "APScheduler crontab",
    "APScheduler interval",
    "APScheduler calendar",
    "APScheduler date",
    "APScheduler all",
    "APScheduler any",
];

/// Whose rules no government has changed lately: they may have the database in another version.
const ZONES: [&str; 6] =
    ["UTC", "Europe/Paris", "America/Chicago", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Chatham"];

/// A trigger as APScheduler is told of it, and as we have it.
struct Both {
    theirs: Value,
    ours: Trigger,
}

fn bounded(trigger: Trigger, start: Option<i64>, end: Option<i64>) -> Trigger {
    let instant = |second| Timestamp::from_second(second).unwrap();
    Trigger::Bounded { inner: Box::new(trigger), start: start.map(instant), end: end.map(instant) }
}

impl Random {
    /// An instant some days from another.
    fn near(&mut self, at: i64) -> i64 {
        at - 50 * 86_400 + i64::try_from(self.below(150 * 86_400)).unwrap()
    }

    /// A trigger field by field, perhaps with bounds.
    fn fields(&mut self, zone: &TimeZone, after: i64) -> Both {
        let day = match self.below(4) {
            0 => {
                let which = self.of(&["1st", "2nd", "3rd", "4th", "5th", "last"]);
                format!("{which} {}", self.of(&["mon", "thu", "sun"]))
            }
            1 => "last".to_owned(),
            _ => self.field(1, 28),
        };
        let (minute, hour, month) = (self.field(0, 59), self.field(0, 23), self.field(1, 12));
        let mut fields = json!({"minute": minute, "hour": hour, "day": day, "month": month});
        for (key, value) in
            [("week", self.field(1, 52)), ("day_of_week", self.weekday()), ("second", self.field(0, 59))]
        {
            if self.below(3) == 0 {
                fields[key] = json!(value);
            }
        }
        self.by_field(fields, zone, after)
    }

    /// One with these fields, perhaps with bounds.
    fn by_field(&mut self, fields: Value, zone: &TimeZone, after: i64) -> Both {
        let of = |key: &str| fields[key].as_str().map(str::to_owned);
        let by = ByField {
            year: of("year"),
            month: of("month"),
            day: of("day"),
            week: of("week"),
            day_of_week: of("day_of_week"),
            hour: of("hour"),
            minute: of("minute"),
            second: of("second"),
        };
        let cron = Trigger::Cron(Cron::from_fields(&by, zone.clone(), Dst::default()).unwrap());
        let (start, end) = (self.near(after), self.near(after) + 86_400 * 200);
        let (start, end) = ((self.below(4) == 0).then_some(start), (self.below(4) == 0).then_some(end));
        let mut theirs = json!({"fields": fields});
        for (key, value) in [("start", start), ("end", end)] {
            if let Some(value) = value {
                theirs[key] = json!(value);
            }
        }
        Both { theirs, ours: bounded(cron, start, end) }
    }

    fn interval(&mut self, after: i64) -> Both {
        let every = match self.below(3) {
            0 => self.number(1, 100),
            1 => 60 * self.number(1, 3000),
            _ => 3600 * self.number(1, 400),
        };
        let every = i64::try_from(every).unwrap();
        let (start, end) = (self.near(after), self.near(after) + 86_400 * 100);
        let anchor = Timestamp::from_second(start).unwrap();
        let ours = Trigger::Interval { every: SignedDuration::from_secs(every), anchor };
        Both { theirs: json!({"interval": every, "start": start, "end": end}), ours: bounded(ours, None, Some(end)) }
    }

    /// One, and the instant before its first: theirs can't be asked from any other.
    fn calendar(&mut self, zone: &TimeZone) -> (Both, i64) {
        let first = Timestamp::from_second(self.after()).unwrap().to_zoned(zone.clone()).date();
        let first = if self.below(3) == 0 { first.last_of_month() } else { first };
        let [years, months, weeks] = [0, 1, 2].map(|_| u32::try_from(self.below(14).saturating_sub(9)).unwrap());
        let days = u32::try_from(self.below(40)).unwrap();
        let days = if years + months + weeks == 0 { days + 1 } else { days * u32::from(self.below(4) == 0) };
        let [hour, minute, second] =
            [(0, 23), (0, 59), (0, 59)].map(|(min, max)| i8::try_from(self.number(min, max)).unwrap());
        let end = first.saturating_add(jiff::Span::new().days(i64::try_from(self.below(20_000)).unwrap()));
        let step = CalendarStep { years, months, weeks, days, time: time(hour, minute, second, 0), first };
        let last = end.at(23, 59, 59, 0).to_zoned(zone.clone()).unwrap().timestamp().as_second();
        let ours = Trigger::Calendar { step, zone: zone.clone(), dst: Dst::default() };
        let theirs = json!({
            "calendar": {"years": years, "months": months, "weeks": weeks, "days": days,
                "hour": hour, "minute": minute, "second": second},
            "start": first.to_string(), "end": end.to_string(),
        });
        let before = first.at(0, 0, 0, 0).to_zoned(zone.clone()).unwrap().timestamp().as_second() - 1;
        (Both { theirs, ours: bounded(ours, None, Some(last)) }, before)
    }

    fn combined(&mut self, kind: &str, zone: &TimeZone, after: i64) -> Both {
        let mut parts = Vec::new();
        for _ in 0..self.number(1, 3) {
            // Parts of an `all` should meet now and then: they have minutes and hours in common.
            parts.push(match (kind, self.below(4)) {
                ("all", 0) => {
                    let every = i64::try_from(300 * self.number(1, 30)).unwrap();
                    let start = after - after % 300;
                    let ours = Trigger::Interval {
                        every: SignedDuration::from_secs(every),
                        anchor: Timestamp::from_second(start).unwrap(),
                    };
                    Both { theirs: json!({"interval": every, "start": start}), ours }
                }
                ("all", _) => {
                    let hour = self.of(&["*", "*/2", "6-18", "12", "6,12"]);
                    let minute = self.of(&["0", "*/5", "0,30", "*"]);
                    let (day, weekday) = (self.of(&["*", "*", "1-15", "last"]), self.weekday());
                    let fields = json!({"minute": minute, "hour": hour, "day": day, "day_of_week": weekday});
                    self.by_field(fields, zone, after)
                }
                (_, 0) => self.interval(after),
                _ => self.fields(zone, after),
            });
        }
        let (theirs, ours): (Vec<Value>, Vec<Trigger>) = parts.into_iter().map(|part| (part.theirs, part.ours)).unzip();
        let ours = if kind == "all" { Trigger::All(ours) } else { Trigger::Any(ours) };
        Both { theirs: json!({kind: theirs}), ours }
    }

    fn crontab(&mut self, peer: &str) -> String {
        let (minute, hour, month) = (self.field(0, 59), self.field(0, 23), self.field(1, 12));
        let text = format!("{minute} {hour} {} {month} {}", self.field(1, 31), self.weekday());
        match self.below(8) {
            0 if peer == "croniter" => format!("{} {text}", self.field(0, 59)),
            1 if peer == "croniter" => format!("{minute} {hour} L {month} *"),
            2 if peer == "croniter" => format!("{minute} {hour} * * fri#{}", self.number(1, 5)),
            _ => text,
        }
    }
}

/// A question, and our answer to it.
fn question(random: &mut Random, peer: &'static str) -> (Asked, Value) {
    let zone = if peer == "croniter" { "UTC" } else { random.of(&ZONES) };
    let tz = TimeZone::get(zone).unwrap();
    let mut after = random.after();
    let (mut until, mut count) = (UNTIL, COUNT);
    let both = match peer {
        "APScheduler fields" => random.fields(&tz, after),
        "APScheduler interval" => random.interval(after),
        "APScheduler calendar" => {
            count = 10 * COUNT;
            let (both, before) = random.calendar(&tz);
            after = before;
            both
        }
        "APScheduler date" => {
            // Theirs is due also if it has passed by.
            let at = after + 1 + i64::try_from(random.below(10_000_000)).unwrap();
            Both { theirs: json!({"at": at}), ours: Trigger::At(Timestamp::from_second(at).unwrap()) }
        }
        "APScheduler all" => random.combined("all", &tz, after),
        "APScheduler any" => {
            let mut both = random.combined("any", &tz, after);
            if random.below(4) == 0 {
                // As above, and so only until then.
                until = after + 1 + i64::try_from(random.below(1_000_000)).unwrap();
                let Trigger::Any(parts) = &mut both.ours else { unreachable!() };
                parts.push(Trigger::At(Timestamp::from_second(until).unwrap()));
                both.theirs["any"].as_array_mut().unwrap().push(json!({"at": until}));
            }
            both
        }
        _ => {
            let text = random.crontab(peer);
            let ours = Trigger::Cron(Cron::parse(&text, tz.clone(), Dst::default()).unwrap());
            Both { theirs: json!({"crontab": text}), ours }
        }
    };
    let asked = match &both.theirs["crontab"] {
        Value::String(text) if peer == "croniter" => json!({"croniter": text}),
        _ => json!({"apscheduler": both.theirs}),
    };
    let mut asked = asked;
    for (key, value) in
        [("zone", json!(zone)), ("after", json!(after)), ("until", json!(until)), ("count", json!(count))]
    {
        asked[key] = value;
    }
    let text = both.theirs["crontab"].as_str().map_or_else(|| both.theirs.to_string(), str::to_owned);
    let ours: Vec<i64> = instants(&both.ours, Timestamp::from_second(after).unwrap())
        .map(Timestamp::as_second)
        .take_while(|at| *at <= until)
        .take(count)
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
    let at = (0..asked.ours.len().max(theirs.len())).find(|index| asked.ours.get(*index) != theirs.get(*index))?;
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
    let number = |name| std::env::var(name).ok().and_then(|number| number.parse::<u64>().ok());
    let further = number("RUNNER_ORACLES_SEED");
    let questions = number("RUNNER_ORACLES_QUESTIONS").map_or(QUESTIONS, |count| usize::try_from(count).unwrap());
    for seed in [Some(20_261_123), further].into_iter().flatten() {
        println!("seed {seed}");
        let mut random = Random(seed);
        let (mut asked, questions): (Vec<Asked>, Vec<Value>) =
            (0..questions * PEERS.len()).map(|index| question(&mut random, PEERS[index % PEERS.len()])).unzip();
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
