use std::path::Path;

use super::*;
use crate::model::MailState;
use crate::store::samples::{at, eventful, id, of};
use crate::store::{Durability, Hold, HoldKind, NewEntry, RefusedRecipient};

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn entry(run_id: &RunId, kind: OutboxKind, slot: Option<&str>) -> NewEntry {
    NewEntry {
        kind,
        slot: slot.map(str::to_owned),
        run_id: Some(run_id.clone()),
        project_dir: "daily".into(),
        profile: Some("night".into()),
        run_dir: Some(Path::new("daily").join(run_id.as_str())),
        subject: "daily: 日本".into(),
        from: Some("runs@example.com".into()),
        login: Some("runs".into()),
        recipients: vec!["ann@example.com".into()],
        message: b"\0\r\nwhatever \xff".to_vec(),
        conversation: Some("c".into()),
        queued_at: at(0),
        settled: false,
        unless_since: None,
    }
}

fn mail(digit: char) -> NewEntry {
    entry(&id(digit), OutboxKind::Mail, None)
}

fn tried(id: i64, state: OutboxState) -> Tried {
    Tried {
        id,
        state,
        in_doubt: false,
        recipients: vec!["ann@example.com".into()],
        refused: vec![RefusedRecipient { recipient: "bob@example.com".into(), reply: "550 who".into() }],
        next_at: None,
        error: None,
        reply: Some("250 OK".into()),
        time: at(9),
        mail: state.is_final().then(|| MailState::Sent { reply: "250 OK".into() }),
        begins: Some(("c".into(), "<1@there>".into())),
    }
}

/// Begins a try with an entry as it is now.
async fn begin(store: &mut Store, id: i64, sender: &str, account: &str) -> Result<bool, StoreError> {
    let row = store.entries(&[id]).await?.remove(0);
    store.begin_try(&row, sender, account).await
}

async fn open(dir: &Path) -> Store {
    Store::open(dir).await.unwrap()
}

#[test]
fn an_entry_comes_back_as_it_was_put_in_and_once() {
    let dir = tempfile::tempdir().unwrap();
    run(async {
        let mut store = open(dir.path()).await;
        assert!(!store.is_something_to_deliver().await.unwrap());
        let ids = store.enqueue(&[mail('a'), mail('b')]).await.unwrap();
        assert_eq!(store.enqueue(&[mail('a')]).await.unwrap(), ids[..1], "it is there already");
        drop(store);
        let mut store = open(dir.path()).await;
        assert!(store.is_something_to_deliver().await.unwrap());
        let rows = store.undelivered().await.unwrap();
        assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), ids);
        let (row, entry) = (&rows[0], mail('a'));
        assert_eq!((&row.run_id, &row.profile, &row.subject), (&entry.run_id, &entry.profile, &entry.subject));
        assert_eq!((row.queued_at, &row.recipients, row.attempts), (at(0), &entry.recipients, 0));
        assert_eq!((&row.from, &row.login), (&entry.from, &entry.login));
        assert_eq!(store.message(ids[0]).await.unwrap(), entry.message);
    });
}

#[test]
fn what_is_sent_loses_its_message_and_begins_a_conversation_once() {
    let dir = tempfile::tempdir().unwrap();
    run(async {
        let mut store = open(dir.path()).await;
        let ids = store.enqueue(&[mail('a'), mail('b')]).await.unwrap();
        begin(&mut store, ids[0], "print", "account").await.unwrap();
        store.mark_in_doubt(ids[0]).await.unwrap();
        let row = store.mail_about(&id('a')).await.unwrap().unwrap();
        assert_eq!((row.state, row.in_doubt, row.attempts), (OutboxState::Sending, true, 1));
        assert!(!store.end_try(&tried(ids[0], OutboxState::Sent)).await.unwrap(), "its run will look by itself");
        let row = store.settle(&id('a')).await.unwrap().unwrap();
        assert_eq!((row.state, row.in_doubt, row.refused.len()), (OutboxState::Sent, false, 1));
        assert!(store.message(ids[0]).await.unwrap().is_empty());
        assert_eq!(store.sent_since("account", at(8)).await.unwrap(), [at(9)]);
        assert!(store.sent_since("account", at(9)).await.unwrap().is_empty());
        let second = Tried { begins: Some(("c".into(), "<2@there>".into())), ..tried(ids[1], OutboxState::Sent) };
        store.end_try(&second).await.unwrap();
        assert_eq!(store.conversation_root("c").await.unwrap().as_deref(), Some("<1@there>"));
        assert_eq!(store.conversation_root("d").await.unwrap(), None);
        assert!(!store.is_something_to_deliver().await.unwrap());
    });
}

#[test]
fn a_run_that_has_had_its_say_is_told_what_comes_of_its_mail_later() {
    let dir = tempfile::tempdir().unwrap();
    run(async {
        let mut store = open(dir.path()).await;
        store.record(&of(&id('a'), eventful(&id('a'), dir.path(), 0)), Durability::Process).await.unwrap();
        let ids = store.enqueue(&[mail('a')]).await.unwrap();
        store.settle(&id('a')).await.unwrap();
        assert!(!store.end_try(&tried(ids[0], OutboxState::Queued)).await.unwrap());
        assert!(store.end_try(&tried(ids[0], OutboxState::Sent)).await.unwrap());
        assert_eq!(store.run("aaa").await.unwrap().mail, Some(MailState::Sent { reply: "250 OK".into() }));
        assert_eq!(store.untold().await.unwrap().len(), 1);
        assert!(store.is_something_to_deliver().await.unwrap());
        store.mark_told(ids[0]).await.unwrap();
        assert!(store.untold().await.unwrap().is_empty());
    });
}

#[test]
fn a_start_is_no_news_after_the_end() {
    let dir = tempfile::tempdir().unwrap();
    run(async {
        let mut store = open(dir.path()).await;
        let ping = |digit, slot| entry(&id(digit), OutboxKind::Ping, Some(slot));
        let starts = store.enqueue(&[ping('a', "start"), ping('b', "start")]).await.unwrap();
        // One is just being told when its run ends.
        begin(&mut store, starts[1], "web", "web").await.unwrap();
        store.enqueue(&[ping('a', "success"), ping('b', "failure")]).await.unwrap();
        let slots = async |store: &mut Store| -> Vec<String> {
            store.undelivered().await.unwrap().into_iter().filter_map(|row| row.slot).collect()
        };
        assert_eq!(slots(&mut store).await, ["start", "failure"], "of an earlier run nothing is told any more");
        store.end_try(&tried(starts[1], OutboxState::Queued)).await.unwrap();
        assert_eq!(slots(&mut store).await, ["failure"]);
        let other = NewEntry { profile: None, ..ping('c', "success") };
        store.enqueue(&[other, ping('d', "start"), ping('b', "failure")]).await.unwrap();
        assert_eq!(slots(&mut store).await, ["failure", "success"], "each profile has a watchdog of its own");
    });
}

#[test]
fn what_waits_is_told_why_and_what_failed_can_begin_anew() {
    let dir = tempfile::tempdir().unwrap();
    run(async {
        let mut store = open(dir.path()).await;
        let ids = store.enqueue(&[mail('a'), mail('b')]).await.unwrap();
        let why = PutOff { state: OutboxState::Held, sender: Some("s"), error: "no", reply: None };
        store.put_off(&ids, &why).await.unwrap();
        store.put_off(&ids, &why).await.unwrap();
        let rows = store.undelivered().await.unwrap();
        assert!(rows.iter().all(|row| (row.state, row.attempts) == (OutboxState::Held, 0)), "{rows:?}");
        assert!(rows.iter().all(|row| row.last_error.as_deref() == Some("no") && row.sender.as_deref() == Some("s")));
        store.end_try(&tried(ids[0], OutboxState::Failed)).await.unwrap();
        assert_eq!(store.message(ids[0]).await.unwrap(), mail('a').message, "a failed one keeps it");
        store.requeue_failed(at(99)).await.unwrap();
        let row = store.mail_about(&id('a')).await.unwrap().unwrap();
        assert_eq!((row.state, row.attempts, row.queued_at), (OutboxState::Queued, 0, at(99)));
    });
}

#[test]
fn only_failures_of_its_own_are_counted_against_a_message() {
    let dir = tempfile::tempdir().unwrap();
    run(async {
        let mut store = open(dir.path()).await;
        let ids = store.enqueue(&[mail('a')]).await.unwrap();
        for next_at in [None, None, Some(at(60))] {
            begin(&mut store, ids[0], "s", "account").await.unwrap();
            store.end_try(&Tried { next_at, ..tried(ids[0], OutboxState::Queued) }).await.unwrap();
        }
        let row = store.mail_about(&id('a')).await.unwrap().unwrap();
        assert_eq!((row.attempts, row.failures), (3, 1));
    });
}

#[test]
fn that_there_was_no_time_is_noted_where_nothing_else_happened() {
    let dir = tempfile::tempdir().unwrap();
    run(async {
        let mut store = open(dir.path()).await;
        let ids = store.enqueue(&[mail('a'), mail('b')]).await.unwrap();
        begin(&mut store, ids[0], "s", "account").await.unwrap();
        store.note_no_turn(&ids, "no time").await.unwrap();
        let rows = store.entries(&ids).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.last_error.as_deref()).collect::<Vec<_>>(), [None, Some("no time")]);
        assert_eq!(store.newest_entry().await.unwrap(), ids[1]);
    });
}

#[test]
fn who_delivers_without_the_lock_has_an_entry_for_itself() {
    let dir = tempfile::tempdir().unwrap();
    run(async {
        let mut store = open(dir.path()).await;
        let ids = store.enqueue(&[mail('a'), mail('b'), mail('c')]).await.unwrap();
        let seen = store.undelivered().await.unwrap();
        assert!(store.begin_try(&seen[0], "s", "account").await.unwrap());
        assert_eq!(store.claim(&ids, at(60)).await.unwrap(), ids[1..], "somebody is at the first");
        assert!(!store.begin_try(&seen[1], "s", "account").await.unwrap(), "it was read before");
        assert!(begin(&mut store, ids[1], "s", "account").await.unwrap());
        store.end_try(&tried(ids[1], OutboxState::Sent)).await.unwrap();
        store.give_back(&ids, at(60)).await.unwrap();
        let rows = store.entries(&ids).await.unwrap();
        assert_eq!(
            rows.iter().map(|row| (row.state, row.next_at)).collect::<Vec<_>>(),
            [(OutboxState::Sending, None), (OutboxState::Sent, None), (OutboxState::Queued, None)]
        );
    });
}

#[test]
fn an_entry_that_cannot_be_read_keeps_no_other_from_being_read() {
    let dir = tempfile::tempdir().unwrap();
    run(async {
        let mut store = open(dir.path()).await;
        let ids = store.enqueue(&[mail('a'), mail('b'), mail('c')]).await.unwrap();
        let damage = "UPDATE outbox SET kind = 'pigeon' WHERE id = 1; UPDATE outbox SET recipients = '[' WHERE id = 2";
        sqlx::raw_sql(damage).execute(&mut store.connection).await.unwrap();
        let rows = store.undelivered().await.unwrap();
        assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), ids[1..]);
        assert!(rows[0].recipients.is_empty(), "so that its failure is told");
    });
}

#[test]
fn what_ended_is_forgotten_after_its_time_if_its_run_knows() {
    let dir = tempfile::tempdir().unwrap();
    run(async {
        let mut store = open(dir.path()).await;
        let ids = store.enqueue(&[mail('a'), mail('b'), mail('c')]).await.unwrap();
        store.end_try(&tried(ids[0], OutboxState::Sent)).await.unwrap();
        store.end_try(&tried(ids[1], OutboxState::Failed)).await.unwrap();
        let known = async |store: &mut Store| store.entries(&ids).await.unwrap().len();
        store.forget_delivered(at(40 * 86_400)).await.unwrap();
        assert_eq!(known(&mut store).await, 3, "nobody has looked yet");
        for digit in ['a', 'b', 'c'] {
            store.settle(&id(digit)).await.unwrap();
        }
        store.forget_delivered(at(29 * 86_400)).await.unwrap();
        assert_eq!(known(&mut store).await, 3);
        store.forget_delivered(at(40 * 86_400)).await.unwrap();
        assert_eq!(known(&mut store).await, 2);
        store.forget_delivered(at(100 * 86_400)).await.unwrap();
        assert_eq!(store.entries(&ids).await.unwrap()[0].id, ids[2], "what waits is never forgotten");
    });
}

#[test]
fn a_sender_is_held_until_that_ends() {
    let dir = tempfile::tempdir().unwrap();
    run(async {
        let mut store = open(dir.path()).await;
        let mut hold = Hold {
            sender: "s".into(),
            kind: HoldKind::Pause,
            since: at(0),
            until: at(9),
            error: "too much".into(),
            reply: Some("554".into()),
        };
        store.set_hold(&hold).await.unwrap();
        hold.kind = HoldKind::Hold;
        store.set_hold(&hold).await.unwrap();
        assert_eq!(store.holds().await.unwrap().into_values().collect::<Vec<_>>(), [hold]);
        store.end_hold("s").await.unwrap();
        assert!(store.holds().await.unwrap().is_empty());
    });
}

#[test]
fn whether_something_waits_is_known_without_reading_everything() {
    let dir = tempfile::tempdir().unwrap();
    run(async {
        let mut store = open(dir.path()).await;
        let plan: Vec<(i64, i64, i64, String)> =
            sqlx::query_as(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {IS_SOMETHING}")))
                .fetch_all(&mut store.connection)
                .await
                .unwrap();
        let scans: Vec<&str> = plan.iter().map(|row| row.3.as_str()).filter(|step| step.starts_with("SCAN")).collect();
        let by_index = |step: &&&str| {
            step.contains("USING INDEX") || step.contains("USING COVERING INDEX") || **step == "SCAN CONSTANT ROW"
        };
        assert_eq!(scans.iter().filter(by_index).count(), scans.len(), "{plan:?}");
    });
}
