//! Korean, in the formal polite form; headings and states in the short one. Particles whose form depends on the last sound
//! of the word before are avoided after names.

use chrono::{DateTime, FixedOffset};

use super::dates::{Distance, Names, distance, exact_time, time_of_day};
use super::phrases::{Change, Digested, Headline, Item, Kind, Phrases, Planned, Wanted, Word};
use crate::model::Following;
use crate::schedule::Hindrance;

pub(super) struct Korean;

const MONTHS: [&str; 12] = ["1월", "2월", "3월", "4월", "5월", "6월", "7월", "8월", "9월", "10월", "11월", "12월"];
const DAYS: [&str; 7] = ["월", "화", "수", "목", "금", "토", "일"];
const NAMES: Names = Names { months: MONTHS, short_months: MONTHS, days: DAYS, short_days: DAYS };

impl Phrases for Korean {
    fn code(&self) -> &'static str {
        "ko"
    }
    fn fonts(&self) -> &'static str {
        "Malgun Gothic,Apple SD Gothic Neo,sans-serif"
    }
    fn mono_fonts(&self) -> &'static str {
        "Consolas,GulimChe,monospace"
    }
    fn stop(&self) -> &'static str {
        "."
    }
    fn space(&self) -> &'static str {
        " "
    }
    fn comma(&self) -> &'static str {
        ", "
    }
    fn colon(&self) -> &'static str {
        ": "
    }
    fn wrap(&self) -> &'static str {
        "word-break:keep-all;overflow-wrap:anywhere"
    }

    fn word(&self, word: Word) -> &'static str {
        match word {
            Word::Succeeded => "성공",
            Word::Failed => "실패",
            Word::TimedOut => "시간 초과",
            Word::NotStarted => "시작 실패",
            Word::NotRun => "실행 안 됨",
            Word::Interrupted => "중단",
            Word::Unfinished => "미완료",
            Word::Missed => "누락",
            Word::Overdue => "지연",
            Word::Scripts => "스크립트",
            Word::PlannedFor => "예정 시각",
            Word::Inputs => "입력값",
            Word::Started => "시작",
            Word::Ended => "종료",
            Word::Duration => "소요 시간",
            Word::Host => "호스트",
            Word::Project => "프로젝트",
            Word::Log => "로그",
            Word::RunFolder => "실행 폴더",
            Word::Run => "실행 ID",
            Word::Runner => "Runner",
            Word::NextRun => "다음 실행",
            Word::Noticed => "확인 시각",
            Word::NoScripts => "없음",
            Word::NotYet => "아직 끝나지 않음",
            Word::Warnings => "경고",
            Word::LeftProcesses => "스크립트가 끝난 뒤 남은 프로세스",
            Word::Files => "이번 실행의 파일",
            Word::LatestRun => "최근 실행",
            Word::ThisRun => "이번 실행",
            Word::OldestFirst => "오래된 순",
            Word::WholeOutput => "전체 출력",
            Word::NeverRan => "시작되지 않았습니다.",
            Word::PrintedNothing => "출력이 없었습니다.",
            Word::PrintedNoError => "오류 출력이 없었습니다.",
            Word::RunReport => "실행 결과",
            Word::Digest => "일일 요약",
        }
    }

    fn count(&self, kind: Kind, count: usize) -> String {
        let word = match kind {
            Kind::Succeeded => "성공",
            Kind::Failed => "실패",
            Kind::Interrupted => "중단",
            Kind::NotRun => "실행 안 됨",
        };
        format!("{word} {count}")
    }

    fn list(&self, members: &[String], more: usize) -> String {
        let members = members.join(", ");
        if more == 0 { members } else { format!("{members} 외 {more}개") }
    }

    fn headline(&self, headline: &Headline) -> String {
        match headline {
            Headline::NoScripts => "실행할 스크립트가 없었습니다".to_owned(),
            Headline::OneSucceeded { name } => format!("{name} 스크립트가 성공했습니다"),
            Headline::OneFailed { name } => format!("{name} 스크립트가 실패했습니다"),
            Headline::AllSucceeded { total } => format!("스크립트 {total}개가 모두 성공했습니다"),
            Headline::SomeSucceeded { succeeded, total } => {
                format!("스크립트 {total}개 중 {succeeded}개가 성공했고 나머지는 실행되지 않았습니다")
            }
            Headline::AllFailed { total } => format!("스크립트 {total}개가 모두 실패했습니다"),
            Headline::SomeFailed { failed, total, not_run: 0 } => {
                format!("스크립트 {total}개 중 {failed}개가 실패했습니다")
            }
            Headline::SomeFailed { failed, total, not_run } => {
                format!("스크립트 {total}개 중 {failed}개가 실패했고 {not_run}개는 실행되지 않았습니다")
            }
            Headline::Interrupted { done, total, failed } => {
                let failed = if *failed > 0 { format!("(실패 {failed}개)") } else { String::new() };
                format!("스크립트 {total}개 중 {done}개가 끝난 뒤 중단되었습니다{failed}")
            }
            Headline::Missing { missed: 0, overdue } => format!("예정된 실행 {overdue}건이 시작되지 않았습니다"),
            Headline::Missing { missed, overdue: 0 } => format!("예정된 실행 {missed}회가 누락되었습니다"),
            Headline::Missing { missed, overdue } => {
                format!("예정된 실행 {missed}회가 누락되었고 다른 {overdue}건이 시작되지 않았습니다")
            }
            Headline::Runs { failed, total, since } => {
                let since = since.as_ref().map(|since| format!("{since} 이후 ")).unwrap_or_default();
                match (failed, total) {
                    (0, 1) => format!("{since}실행 1회가 성공했습니다"),
                    (_, 1) => format!("{since}실행 1회가 실패했습니다"),
                    (0, total) => format!("{since}실행 {total}회가 모두 성공했습니다"),
                    (failed, total) if failed == total => format!("{since}실행 {total}회가 모두 실패했습니다"),
                    (failed, total) => format!("{since}실행 {total}회 중 {failed}회가 실패했습니다"),
                }
            }
        }
    }

    fn change(&self, change: &Change) -> String {
        match change {
            Change::Failed { names, after: Some(successes), .. } => {
                format!("{names} 스크립트가 새로 실패했습니다(직전까지 {successes}회 연속 성공).")
            }
            Change::Failed { names, .. } => format!("{names} 스크립트가 새로 실패했습니다."),
            Change::StillFails { names, since: Some((Some(times), since)), .. } => {
                format!("{names} 스크립트가 {since}부터 계속 실패하고 있습니다({times}번째).")
            }
            Change::StillFails { names, since: Some((None, since)), .. } => {
                format!("{names} 스크립트가 늦어도 {since}부터 계속 실패하고 있습니다.")
            }
            Change::StillFails { names, .. } => format!("{names} 스크립트가 계속 실패하고 있습니다."),
            Change::Recovered { names, after: Some(failures), .. } => {
                format!("{names} 스크립트가 {failures}회 실패한 뒤 다시 정상입니다.")
            }
            Change::Recovered { names, .. } => format!("{names} 스크립트가 다시 정상입니다."),
        }
    }

    fn planned(&self, planned: &Planned) -> String {
        match planned {
            Planned::Late { by, why } => format!("예정보다 {by} 늦게 시작되었습니다({}).", self.hindrance(*why)),
            Planned::Merged { count: 1, first } => format!("이번 실행은 {first} 예정분을 겸합니다."),
            Planned::Merged { count, first } => format!("이번 실행은 {first} 이후의 예정 {count}회분을 겸합니다."),
            Planned::Missed { count: 1, first } => format!("이전 예정({first})은 실행되지 않았습니다."),
            Planned::Missed { count, first } => {
                format!("이전 예정 {count}회분({first} 이후)은 실행되지 않았습니다.")
            }
        }
    }
    fn numbered_schedule(&self, number: &str) -> String {
        format!("일정 {number}")
    }
    fn hindrance(&self, why: Hindrance) -> &'static str {
        match why {
            Hindrance::MachineOff => "컴퓨터가 꺼져 있었음",
            Hindrance::MachineAsleep => "컴퓨터가 절전 상태였음",
            Hindrance::DaemonOff => "데몬이 실행 중이 아니었음",
            Hindrance::HostIdle => "시스템 스케줄러가 시작하지 않음",
            Hindrance::Busy => "다른 실행이 끝나기를 기다림",
            Hindrance::CouldNotRun => "프로젝트를 실행할 수 없었음",
            Hindrance::ClockSet => "시계가 앞당겨짐",
            Hindrance::RunnerEnded => "실행이 시작되기 전에 Runner가 종료됨",
        }
    }

    fn digested(&self, digested: &Digested) -> String {
        let Digested { name, failed, runs, fails } = digested;
        match (runs, fails) {
            (1, true) => format!("{name} 스크립트가 실패했습니다."),
            (runs, true) => {
                format!("{name} 스크립트가 {runs}회 중 {failed}회 실패했고 마지막 실행에서도 실패했습니다.")
            }
            (runs, false) => format!("{name} 스크립트가 {runs}회 중 {failed}회 실패했으나 지금은 정상입니다."),
        }
    }

    fn wanted(&self, wanted: &Wanted) -> String {
        match wanted {
            Wanted::Mend { why } => match why {
                Hindrance::MachineOff | Hindrance::MachineAsleep => {
                    "아직 필요한 작업이라면 `runner run` 명령으로 지금 실행할 수 있습니다."
                }
                Hindrance::DaemonOff => "`runner daemon` 명령이 실행 중이 아닌 이유를 확인해 주세요.",
                Hindrance::HostIdle => {
                    "시스템 스케줄러가 시작하지 않는 이유를 확인해 주세요. `runner schedule status` 명령으로 등록 내용을 볼 수 있습니다."
                }
                Hindrance::Busy => {
                    "무엇을 기다리고 있는지 확인해 주세요. `runner history` 명령으로 실행 목록을 볼 수 있습니다."
                }
                Hindrance::CouldNotRun => {
                    "실행되지 못하는 이유를 확인해 주세요. `runner check` 명령으로 문제를 볼 수 있습니다."
                }
                Hindrance::ClockSet => "컴퓨터의 시계를 확인해 주세요.",
                Hindrance::RunnerEnded => "실행이 시작되기 전에 Runner가 종료된 이유를 확인해 주세요.",
            }
            .to_owned(),
            Wanted::Nothing => "조치할 것이 없습니다.".to_owned(),
            Wanted::ReadWarnings => "스크립트는 정상이지만 아래 경고를 확인해 주세요.".to_owned(),
            Wanted::WorthALook { list, warnings: false } => format!("살펴볼 점: {list}."),
            Wanted::WorthALook { list, warnings: true } => {
                format!("살펴볼 점: {list}. 아래 경고도 확인해 주세요.")
            }
            Wanted::LookAt { list, not_run: 0 } => format!("확인이 필요합니다: {list}."),
            Wanted::LookAt { list, not_run } => {
                format!("확인이 필요합니다: {list}. 이 때문에 스크립트 {not_run}개가 실행되지 않았습니다.")
            }
            Wanted::CheckAndResume { name, end, run } => format!(
                "{name} 스크립트가 어디까지 진행되었는지 확인한 뒤({end}) `runner resume {run}` 명령으로 이어서 실행해 \
                 주세요."
            ),
            Wanted::Resume { run } => {
                format!("실행되지 않은 스크립트가 있습니다. `runner resume {run}` 명령으로 이어서 실행해 주세요.")
            }
        }
    }

    fn unit(&self, unit: &str) -> &'static str {
        match unit {
            "ms" => "밀리초",
            "s" => "초",
            "min" => "분",
            "h" => "시간",
            _ => "일",
        }
    }

    fn date_time(&self, time: DateTime<FixedOffset>) -> String {
        let date = NAMES.of(time);
        format!("{}년 {} {}일({}) {}", date.year, date.month, date.day, date.weekday, exact_time(time))
    }
    fn moment(&self, time: DateTime<FixedOffset>) -> String {
        let date = NAMES.of(time);
        format!("{} {}일({}) {}", date.month, date.day, date.weekday, time_of_day(time))
    }
    fn since(&self, time: DateTime<FixedOffset>, now: DateTime<FixedOffset>) -> String {
        let date = NAMES.of(time);
        match distance(time, now) {
            Distance::SameDay => time_of_day(time),
            Distance::SameYear => format!("{} {}일({})", date.month, date.day, date.weekday),
            Distance::Far => format!("{}년 {} {}일", date.year, date.month, date.day),
        }
    }

    fn exit_code(&self, code: &str) -> String {
        format!("종료 코드 {code}")
    }
    fn signal(&self, signal: &str, core_dumped: bool) -> String {
        format!("시그널 {signal}{}", if core_dumped { ", 코어 덤프 생성됨" } else { "" })
    }
    fn timeout(&self, after: &str, killed: bool) -> String {
        format!("{after} 후 시간 초과{}", if killed { ", 강제 종료됨" } else { "" })
    }
    fn unmet(&self, what: &str) -> String {
        format!("기대한 결과가 없음: {what}")
    }
    fn left_behind(&self, processes: usize) -> String {
        match processes {
            0 => "출력이 열린 채로 남음".to_owned(),
            processes => format!("프로세스 {processes}개가 남음"),
        }
    }
    fn could_not_start(&self, error: &str) -> String {
        format!("시작할 수 없음: {error}")
    }
    fn skipped_after(&self, script: &str) -> String {
        format!("앞선 {script} 실패")
    }
    fn skipped_interrupted(&self) -> String {
        "차례가 되기 전에 실행이 중단됨".to_owned()
    }
    fn interrupter(&self, by: &str) -> Option<&'static str> {
        match by {
            "the runner died" => Some("Runner가 비정상 종료됨"),
            "the machine was restarted" => Some("컴퓨터가 다시 시작됨"),
            "the runner lost sight of it" => Some("Runner가 추적하지 못함"),
            _ => None,
        }
    }

    fn pace(&self, took: &str, usual: &str) -> String {
        format!("{took} 소요(평소 {usual})")
    }
    fn over_limit(&self, took: &str, limit: &str) -> String {
        format!("{took} 소요(slow_after {limit} 초과)")
    }
    fn usually(&self, duration: &str) -> String {
        format!("평소 {duration}")
    }
    fn attempts(&self, last: u32, success: bool, before: Option<&str>) -> String {
        let before = before.map(|ends| format!("; 이전: {ends}")).unwrap_or_default();
        if success { format!("{last}번째 시도에서 성공{before}") } else { format!("{last}회 시도{before}") }
    }
    fn times(&self, end: &str, count: usize) -> String {
        format!("{end}({count}회)")
    }
    fn lines_before(&self, count: usize) -> String {
        format!("(앞의 {count}줄 생략)")
    }
    fn more_rows(&self, count: usize, counts: &str) -> String {
        format!("… 외 {count}개: {counts}")
    }
    fn more_failures(&self, count: usize) -> String {
        format!("실패한 다른 스크립트 {count}개의 출력은 실행 폴더에 있습니다.")
    }
    fn more(&self, item: Item, count: usize) -> String {
        match item {
            Item::Warnings => format!("… 외 경고 {count}개"),
            Item::Processes => format!("… 외 프로세스 {count}개"),
            Item::Files => format!("… 외 파일 {count}개"),
            Item::Runs => format!("… 외 이전 실행 {count}회"),
            Item::Schedules => format!("… 외 일정 {count}개"),
        }
    }
    fn left_process(&self, name: &str, pid: u32, goes_on: bool, command: &str) -> String {
        let fate = if goes_on { "계속 실행 중" } else { "종료시킴" };
        format!("{name} 스크립트가 남긴 프로세스 {pid}({fate}): {command}")
    }
    fn follows(&self, how: Following, run: &str) -> String {
        match how {
            Following::Retry => format!("{run} 재시도"),
            Following::Resume => format!("{run} 이어서 실행"),
        }
    }
    fn last_runs(&self, count: usize) -> String {
        format!("최근 {count}회 실행")
    }
    fn runs_since(&self, since: Option<&str>) -> String {
        since.map_or_else(|| "실행 목록".to_owned(), |since| format!("{since} 이후 실행"))
    }
}
