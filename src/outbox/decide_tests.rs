use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::mail::DeliveryFailure;
use crate::store::OutboxKind;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

fn row() -> OutboxRow {
    OutboxRow {
        id: 7,
        kind: OutboxKind::Mail,
        slot: None,
        run_id: None,
        project_dir: PathBuf::from("p"),
        profile: None,
        run_dir: None,
        subject: String::new(),
        from: Some("runs@example.com".into()),
        recipients: vec!["ann@example.com".into(), "bob@example.com".into()],
        refused: Vec::new(),
        conversation: Some("c".into()),
        state: OutboxState::Queued,
        in_doubt: false,
        settled: true,
        attempts: 0,
        failures: 0,
        queued_at: at(0),
        next_at: None,
        ended_at: None,
        last_error: None,
        last_reply: None,
        sender: None,
        login: None,
    }
}

fn error(failure: DeliveryFailure, stage: Stage, reply: Option<&str>) -> DeliveryError {
    DeliveryError { failure, stage, sentence: "it went wrong".into(), reply: reply.map(str::to_owned) }
}

fn hold(kind: HoldKind, since: i64, until: i64) -> Hold {
    Hold { sender: "s".into(), kind, since: at(since), until: at(until), error: String::new(), reply: None }
}

#[test]
fn a_new_mail_has_a_server_asked_again_that_had_trouble_and_no_other() {
    use HoldKind::{Pause, Retry};
    for (kind, has_new, now, expected) in [
        (Retry, false, 10, Turn::Wait),
        (Retry, true, 10, Turn::Go),
        (Pause, true, 10, Turn::Wait),
        (HoldKind::Hold, true, 10, Turn::Wait),
        (HoldKind::Hold, false, 60, Turn::Go),
        // The clock was days ahead when it was set.
        (HoldKind::Hold, false, -7 * 86_400, Turn::Go),
    ] {
        assert_eq!(turn(Some(&hold(kind, 0, 60)), has_new, at(now)), expected, "{kind:?} {has_new} {now}");
    }
    assert_eq!(turn(None, false, at(0)), Turn::Go);
}

#[test]
fn what_is_done_depends_on_what_failed_and_when() {
    use DeliveryFailure::*;
    use OutboxState::{Failed, Held, Queued};
    let cases = [
        // Of the server: the sender waits, the message has no time of its own.
        (error(Unreachable, Stage::Connect, None), Queued, Some(HoldKind::Retry), false),
        (error(TokenUnavailable, Stage::Token, None), Queued, Some(HoldKind::Retry), false),
        (error(Temporary, Stage::SignIn, Some("454 4.7.0 later")), Queued, Some(HoldKind::Retry), false),
        // Of the message: the others go on.
        (error(Temporary, Stage::Message, Some("451 4.7.1 later")), Queued, None, true),
        (error(ConnectionLost, Stage::Message, None), Queued, None, true),
        // Whoever is stuck with one is left alone, so that the next sender has its turn.
        (error(Deadline, Stage::Message, None), Queued, Some(HoldKind::Retry), true),
        (error(RecipientsRefused, Stage::Recipients, Some("450 4.2.1 full")), Queued, None, true),
        (error(RecipientsRefused, Stage::Recipients, Some("550 5.1.1 who")), Failed, None, false),
        (error(Permanent, Stage::Message, Some("552 5.3.4 too large")), Failed, None, false),
        // Of the settings, or of how much was sent.
        (error(WrongCredentials, Stage::SignIn, Some("535 5.7.3 no")), Held, Some(HoldKind::Hold), false),
        (error(SenderRefused, Stage::Message, Some("554 5.2.252 SendAsDenied")), Held, Some(HoldKind::Hold), false),
        (error(QuotaExceeded, Stage::Message, Some("554 5.2.0 quota")), Queued, Some(HoldKind::Pause), false),
    ];
    for (error, state, kind, has_time) in cases {
        let (tried, hold) = failed(&row(), &error, None, 0, at(5), 0.5);
        assert_eq!((tried.state, hold.map(|hold| hold.kind)), (state, kind), "{error:?}");
        assert_eq!(tried.next_at.is_some(), has_time, "{error:?}");
        assert_eq!(tried.in_doubt, error.is_in_doubt());
    }
}

#[test]
fn what_a_run_has_to_say_comes_first_and_mails_before_calls() {
    use OutboxKind::{Mail, Ping, Webhook};
    let all = [
        (Mail, true, true),
        (Webhook, true, true),
        (Mail, false, true),
        (Mail, false, false),
        (Ping, false, true),
        (Ping, false, false),
    ];
    assert!(all.map(|(kind, is_own, has_new)| rank(kind, is_own, has_new)).is_sorted());
    assert!(is_new(&row()));
    assert!(!is_new(&OutboxRow { attempts: 1, ..row() }));
    assert!(!is_new(&OutboxRow { sender: Some("s".into()), ..row() }), "another one was tried for it");
}

#[test]
fn what_somebody_without_the_lock_took_is_left_for_a_while() {
    let claimed = OutboxRow { state: OutboxState::Sending, next_at: Some(at(600)), ..row() };
    assert!(is_claimed(&claimed, at(0)) && is_claimed(&claimed, at(599)));
    assert!(!is_claimed(&claimed, at(600)) && !is_claimed(&claimed, at(-1)), "nor for longer, if the clock was wrong");
    assert!(!is_claimed(&OutboxRow { state: OutboxState::Queued, ..claimed }, at(0)));
}

#[test]
fn several_messages_that_fail_in_a_row_are_the_servers_trouble() {
    let error = error(DeliveryFailure::Temporary, Stage::Recipients, Some("451 4.3.2 busy"));
    let kinds = [0, 1, 2].map(|before| failed(&row(), &error, None, before, at(0), 0.0).1.map(|hold| hold.kind));
    assert_eq!(kinds, [None, None, Some(HoldKind::Retry)]);
}

#[test]
fn pauses_grow_up_to_their_bounds() {
    let lost = error(DeliveryFailure::Temporary, Stage::Message, Some("451 later"));
    let pause = |failures| {
        let (tried, _) = failed(&OutboxRow { failures, attempts: 50, ..row() }, &lost, None, 0, at(0), 0.0);
        (tried.next_at.unwrap() - at(0)).num_minutes()
    };
    assert_eq!([0, 1, 2, 3, 8, 9, 4_000_000].map(pause), [1, 2, 4, 8, 256, 360, 360]);
    let down = error(DeliveryFailure::Unreachable, Stage::Connect, None);
    let quota = error(DeliveryFailure::QuotaExceeded, Stage::Message, Some("554 5.2.0 quota"));
    let next = |error: &DeliveryError, kind, since: i64| {
        let earlier = hold(kind, -since * 60, 0);
        let new = failed(&row(), error, Some(&earlier), 0, at(0), 0.0).1.unwrap();
        assert_eq!(new.since, earlier.since);
        (new.until - at(0)).num_minutes()
    };
    assert_eq!([0, 1, 5, 100_000].map(|since| next(&down, HoldKind::Retry, since)), [1, 1, 5, 360]);
    assert_eq!([0, 15, 60, 100_000].map(|since| next(&quota, HoldKind::Pause, since)), [15, 15, 60, 240]);
}

#[test]
fn after_a_week_an_entry_has_failed_with_the_last_reason() {
    let down = error(DeliveryFailure::Unreachable, Stage::Connect, None);
    for (days, state) in [(6, OutboxState::Queued), (7, OutboxState::Failed)] {
        let (tried, hold) = failed(&row(), &down, None, 0, at(days * 86_400), 0.0);
        assert_eq!((tried.state, hold.is_some()), (state, true), "{days}");
    }
    let tried = failed(&row(), &down, None, 0, at(7 * 86_400), 0.0).0;
    assert_eq!(tried.error.unwrap(), "given up after 7 days: it went wrong");
}

#[test]
fn refused_recipients_are_tried_again_if_they_may_be() {
    let refused = |recipient: &str, reply: &str| Refused { recipient: recipient.into(), reply: reply.into() };
    let taken = |refused| Accepted { reply: "250 OK".into(), refused, message_id: Some("<id@there>".into()) };
    let tried = accepted(&row(), &taken(vec![]), at(0), 0.0);
    assert_eq!((tried.state, tried.reply.as_deref()), (OutboxState::Sent, Some("250 OK")));
    assert_eq!(tried.begins, Some(("c".into(), "<id@there>".into())));

    let tried = accepted(&row(), &taken(vec![refused("bob@example.com", "550 who")]), at(0), 0.0);
    assert_eq!(tried.state, OutboxState::Sent);
    assert_eq!(tried.reply.unwrap(), "250 OK; refused for bob@example.com (550 who)");

    let later = taken(vec![refused("bob@example.com", "450 full")]);
    let tried = accepted(&row(), &later, at(0), 0.0);
    assert_eq!((tried.state, tried.recipients), (OutboxState::Queued, vec!["bob@example.com".to_owned()]));
    assert!(tried.next_at.is_some() && tried.error.unwrap().contains("not yet to bob@example.com (450 full)"));
    let tried = accepted(&row(), &later, at(8 * 86_400), 0.0);
    assert_eq!((tried.state, tried.refused.len()), (OutboxState::Sent, 1), "some day it is enough");
}

#[test]
fn a_mail_that_was_in_doubt_says_so_when_it_is_sent() {
    let doubtful = OutboxRow { in_doubt: true, ..row() };
    let taken = Accepted { reply: "250 OK".into(), refused: vec![], message_id: None };
    let tried = accepted(&doubtful, &taken, at(0), 0.0);
    assert!(tried.in_doubt && tried.reply.unwrap().contains("sent again"));
    let refused = error(DeliveryFailure::Temporary, Stage::Sender, Some("451 later"));
    assert!(failed(&doubtful, &refused, None, 0, at(0), 0.0).0.in_doubt);
}

proptest! {
    /// Whenever messages are sent by the rule, no minute has more of them than it may.
    #[test]
    fn no_minute_has_more_than_the_rate(rate in 1_u32..8, gaps in proptest::collection::vec(0_i64..40_000, 1..60)) {
        let mut sent: Vec<DateTime<Utc>> = Vec::new();
        let mut now = at(0);
        for gap in gaps {
            now += TimeDelta::milliseconds(gap);
            now += pause_for_rate(rate, &sent, now);
            prop_assert_eq!(pause_for_rate(rate, &sent, now), TimeDelta::zero());
            sent.push(now);
        }
        for first in &sent {
            let within = sent.iter().filter(|at| *at >= first && **at < *first + TimeDelta::minutes(1)).count();
            prop_assert!(within <= rate as usize);
        }
    }
}
