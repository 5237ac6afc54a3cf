//! The ledger through simulated time: a year of many schedules against the real state database, with daemons that are killed
//! between any two steps, clocks that are set, machines that sleep, and projects that change. In the end each planned instant
//! has exactly one answer, checked against the pure triggers, and no instant was run twice.
//!
//! `RUNNER_SIMULATED=1000` takes so many schedules through the year (or `RUNNER_SIMULATED_DAYS`), `RUNNER_SIMULATED_SEED` the same
//! events again.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use project_runner::ledger::{Claim, Engine, Ledger, ScheduledProject};
use project_runner::model::{ProcessIdentity, RunId};
use project_runner::schedule::{Answer, CalendarStep, Cron, Dst, Presence, Schedule, Trigger, usual_first_day};
use project_runner::store::{Fate, Held, OccurrenceState, RunEnded, ScheduleFilter, ScheduleRow, Store};

const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3600 * SECOND;
const DAY: i64 = 24 * HOUR;
const ZONES: [&str; 6] =
    ["Europe/Paris", "America/Chicago", "Australia/Lord_Howe", "Asia/Tehran", "Africa/Casablanca", "UTC"];

/// Numbers by chance, the same for the same seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: i64) -> i64 {
        (self.next() % limit.unsigned_abs().max(1)).cast_signed()
    }

    fn chance(&mut self, percent: i64) -> bool {
        self.below(100) < percent
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.below(of.len() as i64)).unwrap()]
    }
}

/// What survives every process: who lives, and which runs have begun.
#[derive(Default)]
struct World {
    living: HashSet<u32>,
    began: HashMap<RunId, Timestamp>,
    /// How often each planned instant was run.
    runs: HashMap<(i64, Timestamp), u32>,
}

struct Daemon {
    engine: Engine,
    pid: u32,
    since: Timestamp,
    /// What it is about: when the next step of a claim comes, and what it is.
    steps: Vec<(i64, Step)>,
}

enum Step {
    Begin(Box<Claim>),
    End(RunId),
}

struct Simulation {
    dice: Dice,
    state: PathBuf,
    world: Arc<Mutex<World>>,
    daemons: Vec<Daemon>,
    projects: Vec<ScheduledProject>,
    /// What goes on whatever is done to the clock, in microseconds.
    elapsed: i64,
    /// What the clock shows beyond that.
    clock: i64,
    last_pid: u32,
    paused: Vec<i64>,
    counts: HashMap<&'static str, u32>,
    /// Whether anything goes wrong.
    troubled: bool,
}

impl Simulation {
    fn now(&self) -> Timestamp {
        Timestamp::from_microsecond(self.elapsed + self.clock).unwrap()
    }

    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    fn schedule(dice: &mut Dice, name: &str, serial: i64) -> Schedule {
        let zone = TimeZone::get(dice.pick(&ZONES)).unwrap();
        let minute = dice.below(60);
        let cron = |text: &str| Trigger::Cron(Cron::parse(text, zone.clone(), Dst::default()).unwrap());
        let anchor = Timestamp::from_second(dice.below(86_400)).unwrap();
        let trigger = match dice.below(100) {
            0..30 => cron(&format!("{minute} {} * * *", dice.below(24))),
            30..50 => cron(&format!("{minute} {} * * mon-fri", dice.below(24))),
            50..60 => cron(&format!("{minute} 2,3 * * *")),
            60..75 => Trigger::Interval { every: SignedDuration::from_hours(20 + dice.below(100)), anchor },
            75..78 => Trigger::Interval { every: SignedDuration::from_mins(90 + dice.below(300)), anchor },
            78..80 => cron(&format!("{minute} */3 * * *")),
            80..90 => Trigger::Calendar {
                step: CalendarStep {
                    years: 0,
                    months: u32::from(dice.chance(50)),
                    weeks: 0,
                    days: 1 + u32::try_from(dice.below(9)).unwrap(),
                    time: jiff::civil::time(2, i8::try_from(minute).unwrap(), 0, 0),
                    first: usual_first_day(0),
                },
                zone: zone.clone(),
                dst: Dst::default(),
            },
            90..94 => Trigger::At(Timestamp::from_microsecond(START + dice.below(360 * DAY)).unwrap()),
            94..97 => Trigger::All(vec![cron("0 * * * *"), cron("*/2 6 * * *")]),
            _ => Trigger::Any(vec![cron("0 6 1 * *"), cron(&format!("{minute} 7 15 * *"))]),
        };
        Schedule {
            name: name.to_owned(),
            definition: format!("{serial}"),
            trigger,
            zone,
            jitter: if dice.chance(30) { SignedDuration::from_secs(dice.below(7200)) } else { SignedDuration::ZERO },
            misfire_grace: dice.chance(40).then(|| SignedDuration::from_mins(1 + dice.below(3000))),
            coalesce: dice.chance(70),
        }
    }

    async fn ledger(&mut self, known: &Arc<Mutex<HashMap<String, Schedule>>>) -> (Ledger, u32) {
        self.last_pid += 1;
        let pid = self.last_pid;
        self.world.lock().unwrap().living.insert(pid);
        let world = Arc::clone(&self.world);
        let judge = move |held: &Held, _now| {
            let world = world.lock().unwrap();
            let living = held.holder.as_ref().is_some_and(|holder| world.living.contains(&holder.process.pid));
            match held.run_id.as_ref().and_then(|run_id| world.began.get(run_id)) {
                _ if living => Fate::Living,
                Some(at) => Fate::Began { at: *at, late: None },
                None => Fate::Gone,
            }
        };
        let known = Arc::clone(known);
        let revive = move |row: &ScheduleRow| known.lock().unwrap().get(&row.definition).cloned();
        let process = ProcessIdentity { pid, started: 0, boot: String::new() };
        let store = Store::open(&self.state).await.unwrap();
        (Ledger::with(store, process, Box::new(judge), Box::new(revive)), pid)
    }

    async fn start(&mut self, known: &Arc<Mutex<HashMap<String, Schedule>>>) {
        let (ledger, pid) = self.ledger(known).await;
        let mut engine = Engine::new(ledger);
        engine.put_all(&self.projects, self.now()).await.unwrap();
        self.daemons.push(Daemon { engine, pid, since: self.now(), steps: Vec::new() });
    }

    /// Without a word: what it had in hand is as it is.
    fn kill(&mut self, index: usize) {
        let daemon = self.daemons.swap_remove(index);
        self.world.lock().unwrap().living.remove(&daemon.pid);
        self.count("kills");
    }

    /// A daemon's next look, and what it makes of it; false if it was killed on the way.
    async fn tick(&mut self, index: usize) {
        self.count("ticks");
        let now = self.now();
        let presence = Presence { since: Some(self.daemons[index].since), ..Presence::default() };
        let claims = self.daemons[index].engine.tick(now, &presence).await.unwrap();
        if !claims.is_empty() && self.troubled && self.dice.below(400) == 0 {
            self.kill(index);
            return;
        }
        for claim in claims {
            let waits = if self.troubled && self.dice.chance(15) { 2 * HOUR } else { 3 * SECOND };
            let waits = self.dice.below(waits);
            let at = self.elapsed + waits;
            self.daemons[index].steps.push((at, Step::Begin(Box::new(claim))));
        }
    }

    async fn step(&mut self, index: usize, step: Step) {
        self.count("steps");
        let now = self.now();
        let outcome = self.dice.below(1000);
        match step {
            Step::Begin(claim) if outcome < 30 => {
                let ended = if outcome < 20 {
                    RunEnded::Overlap { detail: "another".to_owned() }
                } else {
                    RunEnded::CouldNotRun { detail: "no folder".to_owned() }
                };
                self.daemons[index].engine.ended(&claim.run_id, ended, now).await.unwrap();
            }
            Step::Begin(claim) if outcome < 33 && self.troubled => {
                // A daemon that is asked to end gives back what hasn't begun.
                self.daemons[index].engine.ended(&claim.run_id, RunEnded::GaveBack, now).await.unwrap();
                self.kill(index);
            }
            Step::Begin(claim) => {
                {
                    let mut world = self.world.lock().unwrap();
                    *world.runs.entry((claim.schedule_id, claim.planned)).or_default() += 1;
                    assert!(world.began.insert(claim.run_id.clone(), now).is_none(), "a run's id comes once");
                }
                self.count("runs");
                if self.troubled && outcome < 36 {
                    self.kill(index);
                    return;
                }
                self.daemons[index].engine.began(&claim.run_id, now).await.unwrap();
                let longest = if self.troubled { 3 * HOUR } else { 60 * SECOND };
                let at = self.elapsed + self.dice.below(longest);
                self.daemons[index].steps.push((at, Step::End(claim.run_id)));
            }
            Step::End(_) if self.troubled && outcome < 3 => self.kill(index),
            Step::End(run_id) => self.daemons[index].engine.ended(&run_id, RunEnded::Ran, now).await.unwrap(),
        }
    }

    async fn disturb(&mut self, known: &Arc<Mutex<HashMap<String, Schedule>>>, serial: &mut i64) {
        match self.dice.below(100) {
            0..15 if !self.daemons.is_empty() => {
                let index = usize::try_from(self.dice.below(self.daemons.len() as i64)).unwrap();
                self.kill(index);
            }
            15..35 if self.daemons.len() < 2 => self.start(known).await,
            35..45 => {
                let by = self.dice.pick(&[SECOND, 60 * SECOND, HOUR, 5 * HOUR, 3 * DAY]);
                let by = self.dice.below(by);
                self.clock += if self.dice.chance(50) { by } else { -by };
                self.count("clock set");
            }
            45..55 => {
                let longest = self.dice.pick(&[HOUR, DAY, 6 * DAY]);
                self.elapsed += self.dice.below(longest);
                self.count("suspends");
            }
            55..85 => {
                let index = usize::try_from(self.dice.below(self.projects.len() as i64)).unwrap();
                let schedules = &mut self.projects[index].schedules;
                *serial += 1;
                let which = usize::try_from(self.dice.below(3)).unwrap();
                let new = Self::schedule(&mut self.dice, &(which + 1).to_string(), *serial);
                known.lock().unwrap().insert(new.definition.clone(), new.clone());
                match schedules.iter().position(|schedule| schedule.name == new.name) {
                    Some(at) if self.dice.chance(70) => schedules[at] = new,
                    Some(at) => drop(schedules.remove(at)),
                    None => schedules.push(new),
                }
                for daemon in 0..self.daemons.len() {
                    let (project, now) = (self.projects[index].clone(), self.now());
                    self.daemons[daemon].engine.put(&project, now).await.unwrap();
                }
                self.count("changes");
            }
            _ => self.pause_or_resume(known).await,
        }
    }

    async fn pause_or_resume(&mut self, known: &Arc<Mutex<HashMap<String, Schedule>>>) {
        let (mut ledger, pid) = self.ledger(known).await;
        let now = self.now();
        let rows = ledger.store().schedules(&ScheduleFilter::default()).await.unwrap();
        if let Some(id) = self.paused.pop() {
            ledger.store().resume(id, now).await.unwrap();
        } else if !rows.is_empty() {
            let row = &rows[usize::try_from(self.dice.below(rows.len() as i64)).unwrap()];
            ledger.store().pause(row.id, now).await.unwrap();
            self.paused.push(row.id);
            self.count("pauses");
        }
        self.world.lock().unwrap().living.remove(&pid);
    }

    /// Whether schedules that have ended still have to answer for something.
    async fn is_closing(&mut self, known: &Arc<Mutex<HashMap<String, Schedule>>>) -> bool {
        let (mut ledger, pid) = self.ledger(known).await;
        let all = ScheduleFilter { with_ended: true, ..ScheduleFilter::default() };
        let rows = ledger.store().schedules(&all).await.unwrap();
        self.world.lock().unwrap().living.remove(&pid);
        rows.iter().any(ScheduleRow::is_closing)
    }

    /// Lives on until there is nothing to do before `until`.
    async fn live(&mut self, until: i64, known: &Arc<Mutex<HashMap<String, Schedule>>>) {
        let mut serial = 1_000_000;
        let mut trouble_at = if self.troubled { self.elapsed } else { i64::MAX };
        loop {
            let mut next = (trouble_at.min(until), None);
            for (index, daemon) in self.daemons.iter().enumerate() {
                let wake =
                    daemon.engine.next_wake().map(|wake| (wake.as_microsecond() - self.clock, Some((index, None))));
                let steps = daemon.steps.iter().enumerate().map(|(step, (at, _))| (*at, Some((index, Some(step)))));
                next = steps.chain(wake).chain([next]).min_by_key(|(at, _)| *at).unwrap();
            }
            self.elapsed = self.elapsed.max(next.0);
            match next.1 {
                Some((index, Some(step))) => {
                    let (_, step) = self.daemons[index].steps.swap_remove(step);
                    self.step(index, step).await;
                }
                Some((index, None)) => self.tick(index).await,
                None if self.elapsed >= until => return,
                None => {
                    self.disturb(known, &mut serial).await;
                    // Daemons notice that the clock was set, and that the machine slept.
                    for index in (0..self.daemons.len()).rev() {
                        self.tick(index).await;
                    }
                    trouble_at = self.elapsed + HOUR + self.dice.below(2 * DAY);
                }
            }
        }
    }
}

/// 1 January 2026.
const START: i64 = 1_767_225_600 * SECOND;

/// That each instant has exactly one answer; returns how many there were.
async fn audit(state: &Path, world: &World, known: &HashMap<String, Schedule>, now: Timestamp) -> u64 {
    let mut store = Store::open(state).await.unwrap();
    let all = ScheduleFilter { with_ended: true, ..ScheduleFilter::default() };
    let mut instants = 0;
    for row in store.schedules(&all).await.unwrap() {
        let schedule = &known[&row.definition];
        let mut answers = store.occurrences(row.id, u32::MAX).await.unwrap();
        answers.reverse();
        let mut at = row.since;
        let context = |what: &str| format!("{what}: {row:?} {:?}", schedule.trigger);
        let mut seen = HashMap::new();
        for answer in &answers {
            seen.insert(answer.first, answer);
            assert!(answer.first > row.since, "{}", context("before"));
            let OccurrenceState::Answered(state) = answer.state else { panic!("{}", context("still claimed")) };
            let ahead = answer.first > row.covered;
            if ahead {
                assert_eq!(answer.count, 1, "{}", context("ahead"));
                assert!(matches!(state, Answer::Ran | Answer::Late(_)), "{}", context("an answer for the future"));
            }
            for nth in 0..answer.count {
                // What ran before the clock was set back stays beyond the end, and what lies between is the next one's.
                let next =
                    schedule.next_after(at).filter(|next| !ahead || row.ended.is_none_or(|ended| *next <= ended));
                if !ahead || next.is_some_and(|next| next <= answer.first) {
                    let next = next.unwrap_or_else(|| panic!("{}", context("too many")));
                    assert!(nth > 0 || next == answer.first, "{}", context(&format!("a gap before {}", answer.first)));
                    assert!(nth + 1 < answer.count || next == answer.last, "{}", context("a row's end"));
                }
                at = if ahead { answer.last } else { next.unwrap() };
                instants += 1;
            }
            let runs = world.runs.get(&(row.id, answer.first)).copied().unwrap_or_default();
            let ran = matches!(state, Answer::Ran | Answer::Late(_));
            assert_eq!(runs, u32::from(ran), "{}: {answer:?}", context("runs"));
            let run_known = answer.run_id.as_ref().is_none_or(|run_id| world.began.contains_key(run_id));
            assert!(run_known && answer.run_id.is_some() == ran, "{}: {answer:?}", context("its run"));
        }
        for merged in answers.iter().filter(|answer| answer.state == OccurrenceState::Answered(Answer::Merged)) {
            let into = merged.into.unwrap_or_else(|| panic!("{}", context("merged into nothing")));
            assert!(seen.contains_key(&into) || into > now, "{}: {merged:?}", context("merged into"));
        }
        let end = row.ended.unwrap_or(now);
        if let Some(ended) = row.ended {
            assert_eq!(row.covered, ended, "{}", context("not closed"));
        }
        let open = schedule.next_after(answers.last().map_or(row.since, |last| last.last.max(row.since)));
        let jitter = schedule.jitter;
        let is_open = open.is_some_and(|open| open <= end && open + jitter < now);
        assert!(!is_open, "{}", context(&format!("{open:?} is open at {now}")));
    }
    for count in world.runs.values() {
        assert_eq!(*count, 1, "run twice");
    }
    instants
}

/// The last days, in which nothing goes wrong any more. Soon after the year what is old is forgotten.
const QUIET: i64 = 30;

async fn simulate(schedules: usize, days: i64, seed: u64) -> (u64, HashMap<&'static str, u32>) {
    // In memory where that can be had: what survives a loss of power isn't looked at here, and syncing takes its time.
    let memory = Path::new("/dev/shm");
    let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
    let mut dice = Dice(seed);
    let mut known = HashMap::new();
    let mut projects: Vec<ScheduledProject> = Vec::new();
    for number in 0..schedules {
        let name = (number % 3 + 1).to_string();
        let schedule = Simulation::schedule(&mut dice, &name, number as i64);
        known.insert(schedule.definition.clone(), schedule.clone());
        if number % 3 == 0 {
            let dir = PathBuf::from(format!("/srv/projects/{number}"));
            projects.push(ScheduledProject { dir, name: format!("p{number}"), ..ScheduledProject::default() });
        }
        projects.last_mut().unwrap().schedules.push(schedule);
    }
    let known = Arc::new(Mutex::new(known));
    let mut simulation = Simulation {
        dice,
        state: dir.path().to_owned(),
        world: Arc::default(),
        daemons: Vec::new(),
        projects,
        elapsed: START,
        clock: 0,
        last_pid: 0,
        paused: Vec::new(),
        counts: HashMap::new(),
        troubled: true,
    };
    simulation.start(&known).await;
    simulation.live(START + (days - QUIET) * DAY, &known).await;
    // A quiet end: one daemon sees to all that is left, long enough for every backlog and every wait. The clock may not go
    // back any more, but what ran ahead of it has its time to come.
    simulation.troubled = false;
    while !simulation.paused.is_empty() {
        simulation.pause_or_resume(&known).await;
    }
    if simulation.daemons.is_empty() {
        simulation.start(&known).await;
    }
    for index in (0..simulation.daemons.len()).rev() {
        simulation.tick(index).await;
    }
    simulation.live(simulation.elapsed + QUIET * DAY, &known).await;
    // Until then nothing new begins.
    let now = simulation.now();
    simulation.projects.iter_mut().for_each(|project| project.schedules.clear());
    for index in 0..simulation.daemons.len() {
        for project in simulation.projects.clone() {
            simulation.daemons[index].engine.put(&project, now).await.unwrap();
        }
    }
    // As long as it takes to work off, one after the other, what a schedule doesn't merge.
    for _ in 0..50 {
        simulation.live(simulation.elapsed + 10 * DAY, &known).await;
        if !simulation.is_closing(&known).await {
            break;
        }
    }
    simulation.count("daemons left");
    let now = simulation.now();
    let world = std::mem::take(&mut *simulation.world.lock().unwrap());
    let known = known.lock().unwrap().clone();
    (audit(&simulation.state, &world, &known, now).await, simulation.counts.clone())
}

/// This thread and the database's take turns in it: on one processor neither has to wake up another for that, which takes most
/// of the time otherwise.
fn on_one_processor() {
    #[cfg(target_os = "linux")]
    {
        let mut here = rustix::thread::CpuSet::new();
        here.set(rustix::thread::sched_getcpu());
        // Slower without.
        let _ = rustix::thread::sched_setaffinity(None, &here);
    }
}

#[test]
fn through_a_year_of_trouble_each_planned_instant_has_one_answer() {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let seed = number("RUNNER_SIMULATED_SEED")
        .unwrap_or_else(|| RunId::random().as_str()[..8].bytes().fold(7, |s, b| s * 31 + u64::from(b)));
    let (schedules, days) = match number("RUNNER_SIMULATED") {
        Some(schedules) => {
            (usize::try_from(schedules).unwrap(), number("RUNNER_SIMULATED_DAYS").unwrap_or(365).cast_signed())
        }
        None => (24, 90),
    };
    println!("{schedules} schedules, {days} days, RUNNER_SIMULATED_SEED={seed}");
    on_one_processor();
    let begin = std::time::Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (instants, counts) = runtime.block_on(simulate(schedules, days, seed));
    println!("{instants} planned instants in {:.1?}: {counts:?}", begin.elapsed());
    assert!(instants > 100 && counts["runs"] > 100 && counts["kills"] > 0, "{counts:?}");
}
