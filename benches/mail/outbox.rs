//! The outbox's lane: the same letters, each durable before it is tried and marked as sent after it, as runs leave them.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use project_runner::mail::Deadline;
use project_runner::model::RunId;
use project_runner::outbox::{Force, Outbox, SmtpCouriers};
use project_runner::store::{NewEntry, OutboxKind, Store};

use super::lanes::{RECIPIENT, Result, report};
use super::smtp_server::{LOGIN, PASSWORD};

/// Makes a project, and a state folder in which so many of its letters wait.
pub(super) fn fill(folder: &Path, port: u16, ca: &Path, letter: &[u8], count: usize) -> Result<()> {
    let (project, state) = (folder.join("project"), folder.join("state"));
    std::fs::create_dir_all(&project)?;
    let config = r#"{"scripts": ["a.sh"], "python_command": "sh", "recipients": ["RECIPIENT"], "email_strategy": "all",
        "include_traceback": false, "logs_backup_count": 0}"#;
    std::fs::write(project.join("exec_config.json"), config.replace("RECIPIENT", RECIPIENT))?;
    std::fs::write(project.join("a.sh"), "")?;
    let ca = ca.display();
    let settings = format!("LOGIN_MAIL={LOGIN}\nPASSWORD_MAIL='{PASSWORD}'\nMAIL_HOST=127.0.0.1\nMAIL_PORT={port}\n");
    std::fs::write(project.join(".env"), format!("{settings}MAIL_CA_FILE={ca}\n"))?;
    let entry = |number: usize| -> Result<NewEntry> {
        Ok(NewEntry {
            kind: OutboxKind::Mail,
            slot: None,
            run_id: Some(RunId::parse(&format!("{number:013x}")).ok_or("no id of a run")?),
            project_dir: project.clone(),
            profile: None,
            run_dir: Some(project.join("logs")),
            subject: "1 of 12 scripts failed".to_owned(),
            from: Some(LOGIN.to_owned()),
            login: None,
            recipients: vec![RECIPIENT.to_owned()],
            message: letter.to_vec(),
            conversation: None,
            queued_at: Utc::now(),
            settled: true,
            unless_since: None,
        })
    };
    let entries = (0..count).map(entry).collect::<Result<Vec<_>>>()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut store = Store::open(&state).await?;
        store.enqueue(&entries).await?;
        store.close().await?;
        Ok(())
    })
}

/// Sends all that waits, and prints what it took.
pub(super) fn drain(state: &Path) -> Result<()> {
    let begin = Instant::now();
    let couriers = Arc::new(SmtpCouriers::new(Some(state.to_owned())));
    Outbox::new(state.to_owned(), couriers).drain(None, &[], &Deadline::after(Duration::from_secs(600)), Force::Yes)?;
    report(begin.elapsed())
}
