//! French. A no-break space stands before the marks that have two parts.

use chrono::{DateTime, FixedOffset};

use super::dates::{Distance, Names, distance, exact_time, time_of_day};
use super::phrases::{Change, Digested, Headline, Item, Kind, Phrases, Planned, Wanted, Word};
use crate::model::Following;
use crate::schedule::Hindrance;

pub(super) struct French;

const NAMES: Names = Names {
    months: [
        "janvier",
        "février",
        "mars",
        "avril",
        "mai",
        "juin",
        "juillet",
        "août",
        "septembre",
        "octobre",
        "novembre",
        "décembre",
    ],
    short_months: ["janv.", "févr.", "mars", "avril", "mai", "juin", "juil.", "août", "sept.", "oct.", "nov.", "déc."],
    days: ["lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche"],
    short_days: ["lun.", "mar.", "mer.", "jeu.", "ven.", "sam.", "dim."],
};

/// `1 échec`, `3 échecs`; French has the singular for zero, too.
fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count < 2 { one } else { many })
}

/// `1 script`, `3 scripts`.
fn scripts(count: usize) -> String {
    counted(count, "script", "scripts")
}

/// `a échoué`, `ont échoué`.
fn have(count: usize) -> &'static str {
    if count < 2 { "a" } else { "ont" }
}

/// A day of the month.
fn day(number: u32) -> String {
    if number == 1 { "1er".to_owned() } else { number.to_string() }
}

impl Phrases for French {
    fn code(&self) -> &'static str {
        "fr"
    }
    fn fonts(&self) -> &'static str {
        "Segoe UI,Arial,sans-serif"
    }
    fn mono_fonts(&self) -> &'static str {
        "Consolas,Courier New,monospace"
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
        "\u{a0}: "
    }

    fn word(&self, word: Word) -> &'static str {
        match word {
            Word::Succeeded => "réussi",
            Word::Failed => "échec",
            Word::TimedOut => "délai dépassé",
            Word::NotStarted => "non démarré",
            Word::NotRun => "non exécuté",
            Word::Interrupted => "interruption",
            Word::Unfinished => "inachevé",
            Word::Missed => "manqué",
            Word::Overdue => "en retard",
            Word::Scripts => "Scripts",
            Word::PlannedFor => "Prévu pour",
            Word::Inputs => "Paramètres",
            Word::Started => "Début",
            Word::Ended => "Fin",
            Word::Duration => "Durée",
            Word::Host => "Machine",
            Word::Project => "Projet",
            Word::Log => "Journal",
            Word::RunFolder => "Dossier",
            Word::Run => "Exécution",
            Word::Runner => "Runner",
            Word::NextRun => "Prochaine",
            Word::Noticed => "Constaté",
            Word::NoScripts => "aucun",
            Word::NotYet => "pas encore",
            Word::Warnings => "Avertissements",
            Word::LeftProcesses => "Processus restés après la fin de leur script",
            Word::Files => "Fichiers de cette exécution",
            Word::LatestRun => "Dernière exécution",
            Word::ThisRun => "celle-ci",
            Word::OldestFirst => "de la plus ancienne à la plus récente",
            Word::WholeOutput => "Sortie complète",
            Word::NeverRan => "Il n’a jamais démarré.",
            Word::PrintedNothing => "Il n’a rien affiché.",
            Word::PrintedNoError => "Il n’a affiché aucune erreur.",
            Word::RunReport => "compte rendu",
            Word::Digest => "résumé quotidien",
        }
    }

    fn count(&self, kind: Kind, count: usize) -> String {
        match kind {
            Kind::Succeeded => counted(count, "réussite", "réussites"),
            Kind::Failed => counted(count, "échec", "échecs"),
            Kind::Interrupted => counted(count, "interruption", "interruptions"),
            Kind::NotRun => counted(count, "non exécuté", "non exécutés"),
        }
    }

    fn list(&self, members: &[String], more: usize) -> String {
        match (members, more) {
            ([most @ .., last], 0) if !most.is_empty() => format!("{} et {last}", most.join(", ")),
            (members, 0) => members.join(", "),
            (members, 1) => format!("{} et un autre", members.join(", ")),
            (members, more) => format!("{} et {more} autres", members.join(", ")),
        }
    }

    fn headline(&self, headline: &Headline) -> String {
        match headline {
            Headline::NoScripts => "aucun script à exécuter".to_owned(),
            Headline::OneSucceeded { name } => format!("{name} a réussi"),
            Headline::OneFailed { name } => format!("{name} a échoué"),
            Headline::AllSucceeded { total } => format!("les {total} scripts ont réussi"),
            Headline::SomeSucceeded { succeeded, total } => {
                let others = if total - succeeded == 1 {
                    "l’autre n’a pas été exécuté"
                } else {
                    "les autres n’ont pas été exécutés"
                };
                format!("{} sur {total} {} réussi, {others}", scripts(*succeeded), have(*succeeded))
            }
            Headline::AllFailed { total } => format!("les {total} scripts ont échoué"),
            Headline::SomeFailed { failed, total, not_run } => {
                let not_run = match not_run {
                    0 => String::new(),
                    count => format!(", {}", self.count(Kind::NotRun, *count)),
                };
                format!("{} sur {total} {} échoué{not_run}", scripts(*failed), have(*failed))
            }
            Headline::Interrupted { done, total, failed } => {
                let failed = match failed {
                    0 => String::new(),
                    count => format!(", {}", self.count(Kind::Failed, *count)),
                };
                format!("interruption après {} sur {total}{failed}", scripts(*done))
            }
            Headline::Missing { missed: 0, overdue: 1 } => "une exécution prévue est en retard".to_owned(),
            Headline::Missing { missed: 0, overdue } => format!("{overdue} exécutions prévues sont en retard"),
            Headline::Missing { missed, overdue } => {
                let missed = match missed {
                    1 => "une exécution prévue a été manquée".to_owned(),
                    missed => format!("{missed} exécutions prévues ont été manquées"),
                };
                match overdue {
                    0 => missed,
                    1 => format!("{missed}, une autre est en retard"),
                    overdue => format!("{missed}, {overdue} autres sont en retard"),
                }
            }
            Headline::Runs { failed, total, since } => {
                let since = since.as_ref().map(|since| format!(" depuis {since}")).unwrap_or_default();
                match (failed, total) {
                    (0, 1) => format!("la seule exécution{since} a réussi"),
                    (_, 1) => format!("la seule exécution{since} a échoué"),
                    (0, total) => format!("les {total} exécutions{since} ont réussi"),
                    (failed, total) if failed == total => format!("les {total} exécutions{since} ont échoué"),
                    (failed, total) => {
                        let runs = counted(*failed, "exécution", "exécutions");
                        format!("{runs} sur {total}{since} {} échoué", have(*failed))
                    }
                }
            }
        }
    }

    fn change(&self, change: &Change) -> String {
        match change {
            Change::Failed { names, after: Some(successes), .. } => {
                format!("Premier échec de {names} après {}.", counted(*successes, "réussite", "réussites"))
            }
            Change::Failed { names, .. } => format!("Premier échec de {names}."),
            Change::StillFails { names, since: Some((Some(times), since)), .. } => {
                format!("{names} échoue toujours, depuis {since}, pour la {times}e fois.")
            }
            Change::StillFails { names, since: Some((None, since)), .. } => {
                format!("{names} échoue toujours, au moins depuis {since}.")
            }
            Change::StillFails { names, count: 1, .. } => format!("{names} échoue toujours."),
            Change::StillFails { names, .. } => format!("{names} échouent toujours."),
            Change::Recovered { names, after: Some(failures), .. } => {
                format!("{names} fonctionne de nouveau après {}.", counted(*failures, "échec", "échecs"))
            }
            Change::Recovered { names, count: 1, .. } => format!("{names} fonctionne de nouveau."),
            Change::Recovered { names, .. } => format!("{names} fonctionnent de nouveau."),
        }
    }

    fn planned(&self, planned: &Planned) -> String {
        match planned {
            Planned::Late { by, why } => {
                format!("Démarrage avec {by} de retard\u{a0}: {}.", self.hindrance(*why))
            }
            Planned::Merged { count: 1, first } => {
                format!("Cette exécution vaut aussi pour une échéance précédente ({first}).")
            }
            Planned::Merged { count, first } => {
                format!("Cette exécution vaut aussi pour {count} échéances précédentes (la première\u{a0}: {first}).")
            }
            Planned::Missed { count: 1, first } => format!("Une échéance précédente a été manquée ({first})."),
            Planned::Missed { count, first } => {
                format!("{count} échéances précédentes ont été manquées (la première\u{a0}: {first}).")
            }
        }
    }
    fn numbered_schedule(&self, number: &str) -> String {
        format!("planification {number}")
    }
    fn hindrance(&self, why: Hindrance) -> &'static str {
        match why {
            Hindrance::MachineOff => "la machine était éteinte",
            Hindrance::MachineAsleep => "la machine était en veille",
            Hindrance::DaemonOff => "aucun démon n’était actif",
            Hindrance::HostIdle => "le planificateur du système ne l’a pas lancé",
            Hindrance::Busy => "d’autres exécutions devaient d’abord se terminer",
            Hindrance::CouldNotRun => "le projet n’a pas pu être exécuté",
            Hindrance::ClockSet => "l’horloge a été avancée",
            Hindrance::RunnerEnded => "le runner qui devait l’exécuter s’est arrêté avant",
        }
    }

    fn digested(&self, digested: &Digested) -> String {
        let Digested { name, failed, runs, fails } = digested;
        match (runs, fails) {
            (1, true) => format!("{name} a échoué."),
            (runs, true) => format!("{name} a échoué {failed} fois sur {runs}, y compris la dernière."),
            (runs, false) => format!("{name} a échoué {failed} fois sur {runs} et fonctionne de nouveau."),
        }
    }

    fn wanted(&self, wanted: &Wanted) -> String {
        match wanted {
            Wanted::Mend { why } => match why {
                Hindrance::MachineOff | Hindrance::MachineAsleep => {
                    "Si le travail est encore nécessaire, `runner run` l’exécute maintenant."
                }
                Hindrance::DaemonOff => "Merci de vérifier pourquoi `runner daemon` n’est pas actif.",
                Hindrance::HostIdle => {
                    "Merci de vérifier pourquoi le planificateur du système ne le lance pas\u{a0}; `runner schedule status` montre ses entrées."
                }
                Hindrance::Busy => {
                    "Merci de vérifier ce qu’il doit attendre\u{a0}; `runner history` montre les exécutions."
                }
                Hindrance::CouldNotRun => {
                    "Merci de vérifier ce qui empêche son exécution\u{a0}; `runner check` dit ce qui ne va pas."
                }
                Hindrance::ClockSet => "Merci de vérifier l’horloge de la machine.",
                Hindrance::RunnerEnded => "Merci de vérifier ce qui a arrêté le runner avant le début de l’exécution.",
            }
            .to_owned(),
            Wanted::Nothing => "Rien à faire.".to_owned(),
            Wanted::ReadWarnings => {
                "Les scripts vont bien, mais merci de lire les avertissements ci-dessous.".to_owned()
            }
            Wanted::WorthALook { list, warnings: false } => format!("À vérifier\u{a0}: {list}."),
            Wanted::WorthALook { list, warnings: true } => {
                format!("À vérifier\u{a0}: {list}. Merci de lire aussi les avertissements ci-dessous.")
            }
            Wanted::LookAt { list, not_run: 0 } => format!("Merci d’examiner {list}."),
            Wanted::LookAt { list, not_run: 1 } => {
                format!("Merci d’examiner {list}. De ce fait, un script n’a pas été exécuté.")
            }
            Wanted::LookAt { list, not_run } => {
                format!("Merci d’examiner {list}. De ce fait, {not_run} scripts n’ont pas été exécutés.")
            }
            Wanted::CheckAndResume { name, end, run } => {
                format!("Merci de vérifier où en était {name} ({end}), puis de reprendre avec `runner resume {run}`.")
            }
            Wanted::Resume { run } => {
                format!("Merci de reprendre avec `runner resume {run}`\u{a0}: tout n’a pas été exécuté.")
            }
        }
    }

    fn unit(&self, unit: &str) -> &'static str {
        match unit {
            "ms" => "\u{a0}ms",
            "s" => "\u{a0}s",
            "min" => "\u{a0}min",
            "h" => "\u{a0}h",
            _ => "\u{a0}j",
        }
    }
    fn decimal(&self) -> &'static str {
        ","
    }

    fn date_time(&self, time: DateTime<FixedOffset>) -> String {
        let date = NAMES.of(time);
        format!("{} {} {} {}, {}", date.short_weekday, day(date.day), date.short_month, date.year, exact_time(time))
    }
    fn moment(&self, time: DateTime<FixedOffset>) -> String {
        let date = NAMES.of(time);
        format!("{} {} {}, {}", date.short_weekday, day(date.day), date.short_month, time_of_day(time))
    }
    fn since(&self, time: DateTime<FixedOffset>, now: DateTime<FixedOffset>) -> String {
        let date = NAMES.of(time);
        match distance(time, now) {
            Distance::SameDay => time_of_day(time),
            Distance::SameYear => format!("le {} {} {}", date.weekday, day(date.day), date.month),
            Distance::Far => format!("le {} {} {}", day(date.day), date.month, date.year),
        }
    }

    fn exit_code(&self, code: &str) -> String {
        format!("code de sortie {code}")
    }
    fn signal(&self, signal: &str, core_dumped: bool) -> String {
        format!("signal {signal}{}", if core_dumped { ", image mémoire (core) écrite" } else { "" })
    }
    fn timeout(&self, after: &str, killed: bool) -> String {
        format!("délai de {after} dépassé{}", if killed { ", arrêt forcé" } else { "" })
    }
    fn unmet(&self, what: &str) -> String {
        format!("condition non remplie\u{a0}: {what}")
    }
    fn left_behind(&self, processes: usize) -> String {
        match processes {
            0 => "sa sortie est restée ouverte".to_owned(),
            1 => "a laissé un processus derrière lui".to_owned(),
            processes => format!("a laissé {processes} processus derrière lui"),
        }
    }
    fn could_not_start(&self, error: &str) -> String {
        format!("n’a pas pu démarrer\u{a0}: {error}")
    }
    fn skipped_after(&self, script: &str) -> String {
        format!("{script} a échoué avant lui")
    }
    fn skipped_interrupted(&self) -> String {
        "l’exécution a été interrompue avant son tour".to_owned()
    }
    fn interrupter(&self, by: &str) -> Option<&'static str> {
        match by {
            "the runner died" => Some("le runner s’est arrêté brutalement"),
            "the machine was restarted" => Some("la machine a redémarré"),
            "the runner lost sight of it" => Some("le runner l’a perdu de vue"),
            _ => None,
        }
    }

    fn pace(&self, took: &str, usual: &str) -> String {
        format!("a pris {took}, d’habitude {usual}")
    }
    fn over_limit(&self, took: &str, limit: &str) -> String {
        format!("a pris {took}, plus que les {limit} de slow_after")
    }
    fn usually(&self, duration: &str) -> String {
        format!("d’habitude {duration}")
    }
    fn attempts(&self, last: u32, success: bool, before: Option<&str>) -> String {
        let before = before.map(|ends| format!("\u{a0}; avant\u{a0}: {ends}")).unwrap_or_default();
        if success { format!("à la {last}e tentative{before}") } else { format!("{last} tentatives{before}") }
    }
    fn times(&self, end: &str, count: usize) -> String {
        format!("{end} ({count} fois)")
    }
    fn lines_before(&self, count: usize) -> String {
        if count == 1 {
            "(une ligne précédente est omise)".to_owned()
        } else {
            format!("({count} lignes précédentes sont omises)")
        }
    }
    fn more_rows(&self, count: usize, counts: &str) -> String {
        format!("… et {}\u{a0}: {counts}", counted(count, "autre", "autres"))
    }
    fn more_failures(&self, count: usize) -> String {
        if count == 1 {
            "La sortie d’un autre script en échec est dans le dossier de l’exécution.".to_owned()
        } else {
            format!("La sortie de {count} autres scripts en échec est dans le dossier de l’exécution.")
        }
    }
    fn more(&self, item: Item, count: usize) -> String {
        let (one, many) = match item {
            Item::Warnings => ("autre avertissement", "autres avertissements"),
            Item::Processes => ("autre processus", "autres processus"),
            Item::Files => ("autre fichier", "autres fichiers"),
            Item::Runs => ("exécution antérieure", "exécutions antérieures"),
            Item::Schedules => ("autre planification", "autres planifications"),
        };
        format!("… et {}", counted(count, one, many))
    }
    fn left_process(&self, name: &str, pid: u32, goes_on: bool, command: &str) -> String {
        let fate = if goes_on { "qui continue" } else { "qui a été arrêté" };
        format!("{name} a laissé le processus {pid}, {fate}\u{a0}: {command}")
    }
    fn follows(&self, how: Following, run: &str) -> String {
        match how {
            Following::Retry => format!("nouvel essai de {run}"),
            Following::Resume => format!("suite de {run}"),
        }
    }
    fn last_runs(&self, count: usize) -> String {
        format!("Les {count} dernières exécutions")
    }
    fn runs_since(&self, since: Option<&str>) -> String {
        since.map_or_else(|| "Exécutions".to_owned(), |since| format!("Exécutions depuis {since}"))
    }
}
