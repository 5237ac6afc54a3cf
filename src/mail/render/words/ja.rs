//! Japanese, in the polite form; headings and states in the short one, as is usual.

use chrono::{DateTime, FixedOffset};

use super::dates::{Distance, Names, distance, exact_time, time_of_day};
use super::phrases::{Change, Digested, Headline, Item, Kind, Phrases, Planned, Wanted, Word};
use crate::model::Following;
use crate::schedule::Hindrance;

pub(super) struct Japanese;

const MONTHS: [&str; 12] = ["1月", "2月", "3月", "4月", "5月", "6月", "7月", "8月", "9月", "10月", "11月", "12月"];
const DAYS: [&str; 7] = ["月", "火", "水", "木", "金", "土", "日"];
const NAMES: Names = Names { months: MONTHS, short_months: MONTHS, days: DAYS, short_days: DAYS };

impl Phrases for Japanese {
    fn code(&self) -> &'static str {
        "ja"
    }
    fn fonts(&self) -> &'static str {
        "Yu Gothic UI,Meiryo,Hiragino Sans,sans-serif"
    }
    fn mono_fonts(&self) -> &'static str {
        "Consolas,MS Gothic,monospace"
    }
    fn stop(&self) -> &'static str {
        "。"
    }
    fn space(&self) -> &'static str {
        ""
    }
    fn comma(&self) -> &'static str {
        "、"
    }
    fn colon(&self) -> &'static str {
        "："
    }
    fn aside(&self, text: &str) -> String {
        format!("（{text}）")
    }

    fn word(&self, word: Word) -> &'static str {
        match word {
            Word::Succeeded => "成功",
            Word::Failed => "失敗",
            Word::TimedOut => "時間切れ",
            Word::NotStarted => "起動失敗",
            Word::NotRun => "未実行",
            Word::Interrupted => "中断",
            Word::Unfinished => "未完了",
            Word::Missed => "未実行",
            Word::Overdue => "遅延中",
            Word::Scripts => "スクリプト",
            Word::PlannedFor => "予定時刻",
            Word::Inputs => "入力値",
            Word::Started => "開始",
            Word::Ended => "終了",
            Word::Duration => "所要時間",
            Word::Host => "ホスト",
            Word::Project => "プロジェクト",
            Word::Log => "ログ",
            Word::RunFolder => "フォルダー",
            Word::Run => "実行ID",
            Word::Runner => "Runner",
            Word::NextRun => "次回の予定",
            Word::Noticed => "検知時刻",
            Word::NoScripts => "なし",
            Word::NotYet => "未終了",
            Word::Warnings => "警告",
            Word::LeftProcesses => "スクリプト終了後に残ったプロセス",
            Word::Files => "この実行のファイル",
            Word::LatestRun => "最新の実行",
            Word::ThisRun => "今回",
            Word::OldestFirst => "古い順",
            Word::WholeOutput => "すべての出力",
            Word::NeverRan => "起動していません。",
            Word::PrintedNothing => "出力はありませんでした。",
            Word::PrintedNoError => "エラーの出力はありませんでした。",
            Word::RunReport => "実行結果",
            Word::Digest => "日次レポート",
        }
    }

    fn count(&self, kind: Kind, count: usize) -> String {
        let word = match kind {
            Kind::Succeeded => "成功",
            Kind::Failed => "失敗",
            Kind::Interrupted => "中断",
            Kind::NotRun => "未実行",
        };
        format!("{word}{count}件")
    }

    fn list(&self, members: &[String], more: usize) -> String {
        let members = members.join("、");
        if more == 0 { members } else { format!("{members}、ほか{more}件") }
    }

    fn headline(&self, headline: &Headline) -> String {
        match headline {
            Headline::NoScripts => "実行するスクリプトがありませんでした".to_owned(),
            Headline::OneSucceeded { name } => format!("{name} は成功しました"),
            Headline::OneFailed { name } => format!("{name} が失敗しました"),
            Headline::AllSucceeded { total } => format!("{total}件のスクリプトがすべて成功しました"),
            Headline::SomeSucceeded { succeeded, total } => {
                format!("{total}件中{succeeded}件のスクリプトが成功し、残りは実行されませんでした")
            }
            Headline::AllFailed { total } => format!("{total}件のスクリプトがすべて失敗しました"),
            Headline::SomeFailed { failed, total, not_run } => {
                let not_run = if *not_run > 0 { format!("（未実行{not_run}件）") } else { String::new() };
                format!("{total}件中{failed}件のスクリプトが失敗しました{not_run}")
            }
            Headline::Interrupted { done, total, failed } => {
                let failed = if *failed > 0 { format!("（失敗{failed}件）") } else { String::new() };
                format!("{total}件中{done}件のスクリプトが終わったところで中断しました{failed}")
            }
            Headline::Missing { missed: 0, overdue } => format!("予定された実行が{overdue}件、開始されていません"),
            Headline::Missing { missed, overdue: 0 } => format!("予定された実行{missed}回分が行われませんでした"),
            Headline::Missing { missed, overdue } => {
                format!("予定された実行{missed}回分が行われず、ほかに{overdue}件が開始されていません")
            }
            Headline::Runs { failed, total, since } => {
                let since = since.as_ref().map(|since| format!("{since}以降の")).unwrap_or_default();
                match (failed, total) {
                    (0, 1) => format!("{since}1回の実行は成功しました"),
                    (_, 1) => format!("{since}1回の実行が失敗しました"),
                    (0, total) => format!("{since}{total}回の実行はすべて成功しました"),
                    (failed, total) if failed == total => format!("{since}{total}回の実行がすべて失敗しました"),
                    (failed, total) => format!("{since}実行{total}回のうち{failed}回が失敗しました"),
                }
            }
        }
    }

    fn change(&self, change: &Change) -> String {
        match change {
            Change::Failed { names, after: Some(successes), .. } => {
                format!("{names} が新たに失敗しました（直前まで{successes}回連続で成功）。")
            }
            Change::Failed { names, .. } => format!("{names} が新たに失敗しました。"),
            Change::StillFails { names, since: Some((Some(times), since)), .. } => {
                format!("{names} は{since}から失敗が続いています（{times}回目）。")
            }
            Change::StillFails { names, since: Some((None, since)), .. } => {
                format!("{names} は遅くとも{since}から失敗が続いています。")
            }
            Change::StillFails { names, .. } => format!("{names} は引き続き失敗しています。"),
            Change::Recovered { names, after: Some(failures), .. } => {
                format!("{names} は{failures}回の失敗の後、復旧しました。")
            }
            Change::Recovered { names, .. } => format!("{names} は復旧しました。"),
        }
    }

    fn planned(&self, planned: &Planned) -> String {
        match planned {
            Planned::Late { by, why } => format!("予定より{by}遅れて開始しました（{}）。", self.hindrance(*why)),
            Planned::Merged { count: 1, first } => format!("この実行は{first}の予定分を兼ねています。"),
            Planned::Merged { count, first } => format!("この実行は{first}以降の予定{count}回分を兼ねています。"),
            Planned::Missed { count: 1, first } => format!("これより前の予定（{first}）は実行されませんでした。"),
            Planned::Missed { count, first } => {
                format!("これより前の予定{count}回分（{first}以降）は実行されませんでした。")
            }
        }
    }
    fn numbered_schedule(&self, number: &str) -> String {
        format!("スケジュール{number}")
    }
    fn hindrance(&self, why: Hindrance) -> &'static str {
        match why {
            Hindrance::MachineOff => "マシンの電源が切れていたため",
            Hindrance::MachineAsleep => "マシンがスリープ中だったため",
            Hindrance::DaemonOff => "デーモンが動作していなかったため",
            Hindrance::HostIdle => "システムのスケジューラーが起動しなかったため",
            Hindrance::Busy => "ほかの実行の終了を待っていたため",
            Hindrance::CouldNotRun => "プロジェクトを実行できなかったため",
            Hindrance::ClockSet => "時計が進められたため",
            Hindrance::RunnerEnded => "実行の開始前にRunnerが終了したため",
        }
    }

    fn digested(&self, digested: &Digested) -> String {
        let Digested { name, failed, runs, fails } = digested;
        match (runs, fails) {
            (1, true) => format!("{name} が失敗しました。"),
            (runs, true) => format!("{name} は{runs}回中{failed}回失敗し、最新の実行でも失敗しています。"),
            (runs, false) => format!("{name} は{runs}回中{failed}回失敗しましたが、復旧しています。"),
        }
    }

    fn wanted(&self, wanted: &Wanted) -> String {
        match wanted {
            Wanted::Mend { why } => match why {
                Hindrance::MachineOff | Hindrance::MachineAsleep => {
                    "まだ必要な場合は、`runner run` で今すぐ実行できます。"
                }
                Hindrance::DaemonOff => "`runner daemon` が動作していない原因をご確認ください。",
                Hindrance::HostIdle => {
                    "システムのスケジューラーが起動しない原因をご確認ください。登録内容は `runner schedule status` で表示できます。"
                }
                Hindrance::Busy => "何を待っているかをご確認ください。実行の一覧は `runner history` で表示できます。",
                Hindrance::CouldNotRun => "実行できない原因をご確認ください。`runner check` で問題点を表示できます。",
                Hindrance::ClockSet => "マシンの時計をご確認ください。",
                Hindrance::RunnerEnded => "実行の開始前にRunnerが終了した原因をご確認ください。",
            }
            .to_owned(),
            Wanted::Nothing => "対応は不要です。".to_owned(),
            Wanted::ReadWarnings => "スクリプトに問題はありませんが、下記の警告をご確認ください。".to_owned(),
            Wanted::WorthALook { list, warnings: false } => format!("念のためご確認ください：{list}。"),
            Wanted::WorthALook { list, warnings: true } => {
                format!("念のためご確認ください：{list}。下記の警告もご確認ください。")
            }
            Wanted::LookAt { list, not_run: 0 } => format!("{list}をご確認ください。"),
            Wanted::LookAt { list, not_run } => {
                format!("{list}をご確認ください。このため{not_run}件のスクリプトは実行されませんでした。")
            }
            Wanted::CheckAndResume { name, end, run } => {
                format!("{name} がどこまで進んだか（{end}）をご確認のうえ、`runner resume {run}` で再開してください。")
            }
            Wanted::Resume { run } => {
                format!("未実行のスクリプトがあります。`runner resume {run}` で再開してください。")
            }
        }
    }

    fn unit(&self, unit: &str) -> &'static str {
        match unit {
            "ms" => "ミリ秒",
            "s" => "秒",
            "min" => "分",
            "h" => "時間",
            _ => "日",
        }
    }
    fn unit_gap(&self) -> &'static str {
        ""
    }

    fn date_time(&self, time: DateTime<FixedOffset>) -> String {
        let date = NAMES.of(time);
        format!("{}年{}{}日({}) {}", date.year, date.month, date.day, date.weekday, exact_time(time))
    }
    fn moment(&self, time: DateTime<FixedOffset>) -> String {
        let date = NAMES.of(time);
        format!("{}{}日({}) {}", date.month, date.day, date.weekday, time_of_day(time))
    }
    fn since(&self, time: DateTime<FixedOffset>, now: DateTime<FixedOffset>) -> String {
        let date = NAMES.of(time);
        match distance(time, now) {
            Distance::SameDay => time_of_day(time),
            Distance::SameYear => format!("{}{}日({})", date.month, date.day, date.weekday),
            Distance::Far => format!("{}年{}{}日", date.year, date.month, date.day),
        }
    }

    fn exit_code(&self, code: &str) -> String {
        format!("終了コード {code}")
    }
    fn signal(&self, signal: &str, core_dumped: bool) -> String {
        format!("シグナル {signal}{}", if core_dumped { "、コアダンプあり" } else { "" })
    }
    fn timeout(&self, after: &str, killed: bool) -> String {
        format!("{after}でタイムアウト{}", if killed { "、強制終了" } else { "" })
    }
    fn unmet(&self, what: &str) -> String {
        format!("期待した結果になりませんでした：{what}")
    }
    fn left_behind(&self, processes: usize) -> String {
        match processes {
            0 => "出力が開いたまま残りました".to_owned(),
            processes => format!("プロセスが{processes}個残りました"),
        }
    }
    fn could_not_start(&self, error: &str) -> String {
        format!("起動できませんでした：{error}")
    }
    fn skipped_after(&self, script: &str) -> String {
        format!("先に {script} が失敗したため")
    }
    fn skipped_interrupted(&self) -> String {
        "順番が来る前に実行が中断されたため".to_owned()
    }
    fn interrupter(&self, by: &str) -> Option<&'static str> {
        match by {
            "the runner died" => Some("Runnerの異常終了"),
            "the machine was restarted" => Some("マシンの再起動"),
            "the runner lost sight of it" => Some("Runnerが追跡できなくなりました"),
            _ => None,
        }
    }

    fn pace(&self, took: &str, usual: &str) -> String {
        format!("所要時間{took}（通常{usual}）")
    }
    fn over_limit(&self, took: &str, limit: &str) -> String {
        format!("所要時間{took}（slow_afterの{limit}を超過）")
    }
    fn name_and_pace(&self, name: &str, pace: &str) -> String {
        format!("{name} は{pace}")
    }
    fn usually(&self, duration: &str) -> String {
        format!("通常{duration}")
    }
    fn attempts(&self, last: u32, success: bool, before: Option<&str>) -> String {
        let before = before.map(|ends| format!("、それまで：{ends}")).unwrap_or_default();
        if success { format!("{last}回目で成功{before}") } else { format!("{last}回試行{before}") }
    }
    fn times(&self, end: &str, count: usize) -> String {
        format!("{end}（{count}回）")
    }
    fn lines_before(&self, count: usize) -> String {
        format!("（これより前の{count}行を省略）")
    }
    fn more_rows(&self, count: usize, counts: &str) -> String {
        format!("… ほか{count}件：{counts}")
    }
    fn more_failures(&self, count: usize) -> String {
        format!("失敗したほか{count}件のスクリプトの出力は、実行フォルダーにあります。")
    }
    fn more(&self, item: Item, count: usize) -> String {
        match item {
            Item::Warnings => format!("… ほか警告{count}件"),
            Item::Processes => format!("… ほかプロセス{count}個"),
            Item::Files => format!("… ほかファイル{count}件"),
            Item::Runs => format!("… ほか以前の実行{count}回"),
            Item::Schedules => format!("… ほかスケジュール{count}件"),
        }
    }
    fn left_process(&self, name: &str, pid: u32, goes_on: bool, command: &str) -> String {
        let fate = if goes_on { "実行中のまま" } else { "終了させました" };
        format!("{name} がプロセス{pid}を残しました（{fate}）：{command}")
    }
    fn follows(&self, how: Following, run: &str) -> String {
        match how {
            Following::Retry => format!("{run} の再試行"),
            Following::Resume => format!("{run} の続き"),
        }
    }
    fn last_runs(&self, count: usize) -> String {
        format!("直近{count}回の実行")
    }
    fn runs_since(&self, since: Option<&str>) -> String {
        since.map_or_else(|| "実行の一覧".to_owned(), |since| format!("{since}以降の実行"))
    }
}
