//! Signing in by OAuth: tokens are issued, kept, renewed, and explained when there are none.

use std::path::Path;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use project_runner::mail::{DeliveryError, DeliveryFailure, MailSettings, MailTls, SignIn, Stage, TokenSource, Tokens};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::harness::{Finished, Project, Test, wait_for};
use crate::smtp_server::{self, SmtpServer};
use crate::token_server::{Answer, SECRET, TokenServer};

fn settings(server: &TokenServer, sign_in: SignIn) -> MailSettings {
    MailSettings {
        host: "127.0.0.1".into(),
        port: 587,
        tls: MailTls::StartTls,
        login: "runs@example.test".into(),
        sign_in,
        from: "runs@example.test".parse().unwrap(),
        ca: None,
        authority: server.authority(),
        rate: None,
    }
}

fn app(server: &TokenServer, secret: &str) -> MailSettings {
    let (tenant, client_id) = ("contoso.example".into(), "client-1".into());
    settings(server, SignIn::App { tenant, client_id, client_secret: secret.into() })
}

fn person(server: &TokenServer) -> MailSettings {
    settings(server, SignIn::Delegated { tenant: "common".into(), client_id: "client-1".into() })
}

fn token(tokens: &Tokens, settings: &MailSettings) -> String {
    let token = tokens.token(settings, false).unwrap_or_else(|error| panic!("{error}"));
    token.expose_secret().to_owned()
}

#[track_caller]
fn refused(tokens: &Tokens, settings: &MailSettings, failure: DeliveryFailure, words: &[&str]) -> DeliveryError {
    let error = tokens.token(settings, false).expect_err("there is a token");
    assert_eq!((error.failure, error.stage), (failure, Stage::Token), "{error}");
    for word in words {
        assert!(error.to_string().contains(word), "{word}: {error}");
    }
    error
}

/// Signs in, and gives the pauses that were made.
fn sign_in(tokens: &Tokens, settings: &MailSettings) -> Vec<Duration> {
    let code = tokens.begin_sign_in(settings).unwrap();
    let mut pauses = Vec::new();
    let signed_in = tokens.finish_sign_in(settings, &code, &mut |pause| pauses.push(pause)).unwrap();
    assert_eq!(signed_in.place, tokens.place(settings));
    pauses
}

fn stored(place: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(place).unwrap()).unwrap()
}

/// As if so much time had passed that the token serves no longer.
fn expire(place: &Path) {
    let mut kept = stored(place);
    kept["expires"] = json!(kept["issued"]);
    std::fs::write(place, kept.to_string()).unwrap();
}

#[test]
fn an_application_gets_a_token_once_while_it_serves() {
    let (server, test) = (TokenServer::start(), Test::new());
    let (settings, tokens) = (app(&server, SECRET), Tokens::new(test.path("state")));
    let first = token(&tokens, &settings);
    assert_eq!(token(&tokens, &settings), first);
    // Another process.
    assert_eq!(token(&Tokens::new(test.path("state")), &settings), first);
    let asked = server.asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!(asked[0].path, "/contoso.example/oauth2/v2.0/token");
    assert_eq!(asked[0].get("scope"), "https://outlook.office365.com/.default");
    assert_eq!((asked[0].get("grant_type"), asked[0].get("client_id")), ("client_credentials", "client-1"));
    // It isn't what a person left.
    assert!(!tokens.is_stored(&settings) && tokens.stored_at(&settings).is_none());
    expire(&tokens.place(&settings));
    assert_ne!(token(&tokens, &settings), first);
    assert_eq!(server.asked().len(), 2);
    // Nothing of the secret is kept, and nothing shows it.
    let kept = std::fs::read_to_string(tokens.place(&settings)).unwrap();
    assert!(!kept.contains("s3cret") && !format!("{tokens:?} {settings:?}").contains("s3cret"), "{kept}");
}

#[test]
fn a_token_is_replaced_once_it_has_expired() {
    let (server, test) = (TokenServer::start(), Test::new());
    let (settings, tokens) = (app(&server, SECRET), Tokens::new(test.path("state")));
    server.set_lifetime(2);
    let first = token(&tokens, &settings);
    wait_for("the token to expire", || (token(&tokens, &settings) != first).then_some(()));
    assert!(server.asked().len() >= 2);
}

#[test]
fn a_changed_secret_is_tried_and_not_covered_by_an_old_token() {
    let (server, test) = (TokenServer::start(), Test::new());
    let tokens = Tokens::new(test.path("state"));
    token(&tokens, &app(&server, SECRET));
    // What tells them apart has sixteen bits only.
    let errors = ["wrong-1", "wrong-2", "wrong-3"].map(|wrong| tokens.token(&app(&server, wrong), false).err());
    let error = errors.into_iter().flatten().next().unwrap();
    assert_eq!(error.failure, DeliveryFailure::TokenRefused);
    assert!(error.sentence.contains("the secret's value, not its ID, into MAIL_CLIENT_SECRET"), "{error}");
    assert_eq!(error.reply.as_deref(), Some("invalid_client: AADSTS7000215: Injected."));
}

#[cfg(unix)]
#[test]
fn tokens_are_for_their_account_alone() {
    use std::os::unix::fs::PermissionsExt;
    let (server, test) = (TokenServer::start(), Test::new());
    let (settings, tokens) = (person(&server), Tokens::new(test.path("state")));
    sign_in(&tokens, &settings);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&test.path("state/tokens")), 0o700);
    assert_eq!(mode(&tokens.place(&settings)), 0o600);
    for entry in std::fs::read_dir(test.path("state/tokens")).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
    assert!(!tokens.may_be_read_by_others(&settings));
    std::fs::set_permissions(tokens.place(&settings), std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(tokens.may_be_read_by_others(&settings));
    // Renewed, it is closed again.
    expire(&tokens.place(&settings));
    token(&tokens, &settings);
    assert!(!tokens.may_be_read_by_others(&settings));
}

#[test]
fn a_person_signs_in_while_the_issuer_has_them_wait() {
    let (server, test) = (TokenServer::start(), Test::new());
    let (settings, tokens) = (person(&server), Tokens::new(test.path("state")));
    let words = ["runs@example.test is not signed in for", "run `runner mail login` as that account"];
    refused(&tokens, &settings, DeliveryFailure::NotSignedIn, &words);
    assert!(!tokens.is_stored(&settings) && server.asked().is_empty());
    let pending = Answer::Error("authorization_pending", 70_016);
    server.answer([pending.clone(), Answer::Error("slow_down", 0), pending, Answer::Other(503, "busy")]);
    let pauses = sign_in(&tokens, &settings);
    // As RFC 8628, section 3.5, has it: five seconds more after `slow_down`, and more again after trouble.
    assert_eq!(pauses.iter().map(Duration::as_secs).collect::<Vec<_>>(), [1, 1, 6, 6, 12]);
    // Not for ever: somebody waits.
    server.answer(std::iter::repeat_n(Answer::Other(503, "busy"), 5));
    let code = tokens.begin_sign_in(&settings).unwrap();
    let error = tokens.finish_sign_in(&settings, &code, &mut |_| {}).unwrap_err();
    assert_eq!(error.failure, DeliveryFailure::TokenUnavailable, "{error}");
    let asked = server.asked();
    assert_eq!(asked[0].path, "/common/oauth2/v2.0/devicecode");
    assert_eq!(asked[0].get("scope"), "https://outlook.office.com/SMTP.Send offline_access");
    assert!(asked[1..6].iter().all(|asked| asked.get("device_code") == "dev-1"), "{asked:?}");
    assert!(tokens.is_stored(&settings));
    token(&tokens, &settings);
    assert_eq!(server.asked().len(), asked.len());

    // Each sign-in is another; so are each login, application and directory.
    let before = tokens.stored_at(&settings).unwrap();
    wait_for("another sign-in to have another time", || {
        sign_in(&tokens, &settings);
        (tokens.stored_at(&settings).unwrap() != before).then_some(())
    });
    for other in [
        MailSettings { login: "other@example.test".into(), ..settings.clone() },
        MailSettings { authority: "https://other.example.test".into(), ..settings.clone() },
        MailSettings {
            sign_in: SignIn::Delegated { tenant: "common".into(), client_id: "client-2".into() },
            ..settings.clone()
        },
        MailSettings {
            sign_in: SignIn::Delegated { tenant: "consumers".into(), client_id: "client-1".into() },
            ..settings.clone()
        },
    ] {
        assert!(!tokens.is_stored(&other), "{other:?}");
    }
}

#[test]
fn each_renewal_is_on_the_disk_before_its_token_is_used() {
    let (server, test) = (TokenServer::start(), Test::new());
    let (settings, tokens) = (person(&server), Tokens::new(test.path("state")));
    sign_in(&tokens, &settings);
    let place = tokens.place(&settings);
    let signed_in = tokens.stored_at(&settings);
    // The server takes each refresh token once: whoever lost one could go on no more.
    for number in 2..6 {
        expire(&place);
        let access = token(&Tokens::new(test.path("state")), &settings);
        assert_eq!(stored(&place)["refresh_token"], format!("refresh-{number}"));
        assert_eq!(stored(&place)["access_token"], access);
    }
    assert_eq!(server.grants(), ["device_code", "refresh_token", "refresh_token", "refresh_token", "refresh_token"]);
    // A renewal is no new sign-in.
    assert_eq!(tokens.stored_at(&settings), signed_in);
    let left: Vec<_> = std::fs::read_dir(test.path("state/tokens")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "the token and its lock: {left:?}");
}

#[test]
fn several_runners_renew_a_token_once() {
    let (server, test) = (TokenServer::start(), Test::new());
    let settings = person(&server);
    sign_in(&Tokens::new(test.path("state")), &settings);
    expire(&Tokens::new(test.path("state")).place(&settings));
    server.answer([Answer::Held]);
    let start = Arc::new(Barrier::new(8));
    let runners: Vec<_> = (0..8)
        .map(|_| {
            let (settings, start, state) = (settings.clone(), Arc::clone(&start), test.path("state"));
            std::thread::spawn(move || {
                start.wait();
                token(&Tokens::new(state), &settings)
            })
        })
        .collect();
    wait_for("the renewal", || (server.grants().len() == 2).then_some(()));
    server.release();
    let got: Vec<String> = runners.into_iter().map(|runner| runner.join().unwrap()).collect();
    assert!(got.iter().all(|token| *token == got[0]), "{got:?}");
    assert_eq!(server.grants().len(), 2);
}

#[test]
fn a_token_that_a_server_refused_is_renewed_unless_somebody_else_did() {
    let (server, test) = (TokenServer::start(), Test::new());
    let (settings, tokens) = (person(&server), Tokens::new(test.path("state")));
    sign_in(&tokens, &settings);
    let other = Tokens::new(test.path("state"));
    let first = token(&tokens, &settings);
    assert_eq!(token(&other, &settings), first);
    let second = tokens.token(&settings, true).unwrap().expose_secret().to_owned();
    assert_ne!(second, first);
    // The other one had the first refused, too, and finds that there is a newer one.
    assert_eq!(other.token(&settings, true).unwrap().expose_secret(), second);
    assert_eq!(server.grants().len(), 2);
    assert_ne!(other.token(&settings, true).unwrap().expose_secret(), second);
}

#[test]
fn trouble_of_the_issuer_passes_and_loses_nothing() {
    let (server, test) = (TokenServer::start(), Test::new());
    let settings = person(&server);
    let tokens = Tokens::new(test.path("state"));
    sign_in(&tokens, &settings);
    expire(&tokens.place(&settings));
    for (answer, words) in [
        (Answer::Other(503, "{}"), "has trouble (HTTP 503)"),
        (Answer::Other(429, ""), "has been asked too often"),
        (Answer::Other(200, "<html>Sign in to the network</html>"), "a sign-in page of the network"),
        (Answer::Other(200, "{}"), "not as an issuer of tokens does"),
        (Answer::Other(302, ""), "HTTP 302"),
        (Answer::Other(404, "{}"), "check MAIL_AUTHORITY"),
        (Answer::Error("temporarily_unavailable", 0), "try again later"),
        (Answer::Error("invalid_request", 90_033), "too busy"),
    ] {
        server.answer([answer]);
        refused(&tokens, &settings, DeliveryFailure::TokenUnavailable, &[words]);
    }
    server.answer([Answer::Silence]);
    let hasty = Tokens::new(test.path("state")).with_limit(Duration::from_millis(300));
    refused(&hasty, &settings, DeliveryFailure::TokenUnavailable, &["issued no token within"]);
    token(&tokens, &settings);

    // Nobody is there.
    let gone = MailSettings { authority: "http://127.0.0.1:1".into(), ..app(&server, SECRET) };
    refused(&tokens, &gone, DeliveryFailure::TokenUnavailable, &["cannot ask http://127.0.0.1:1 for a token"]);
}

#[test]
fn an_issuer_without_a_proper_certificate_is_told_nothing() {
    let (server, test) = (TokenServer::start(), Test::new());
    // Any server that speaks TLS from the first byte will do.
    let other = SmtpServer::start(smtp_server::Options { tls: smtp_server::Tls::Implicit, ..Default::default() });
    let settings = MailSettings { authority: format!("https://127.0.0.1:{}", other.port), ..app(&server, SECRET) };
    let tokens = Tokens::new(test.path("state"));
    refused(
        &tokens,
        &settings,
        DeliveryFailure::Certificate,
        &["THE CERTIFICATE OF https://127.0.0.1", "MAIL_CA_FILE"],
    );
    assert!(!other.said().iter().any(|line| line.contains("POST")), "{:?}", other.said());
    // With its certificate known, it is asked, and turns out to be no issuer of tokens.
    let known = MailSettings { ca: Some(other.ca.clone().into_bytes()), ..settings };
    refused(&tokens, &known, DeliveryFailure::TokenUnavailable, &["for a token"]);
}

#[test]
fn a_sign_in_that_was_withdrawn_is_told_with_the_way_back() {
    let (server, test) = (TokenServer::start(), Test::new());
    let (settings, tokens) = (person(&server), Tokens::new(test.path("state")));
    sign_in(&tokens, &settings);
    for (number, words) in
        [(700_082, "has expired"), (50_173, "was withdrawn"), (50_076, "second factor"), (1, "has expired or")]
    {
        expire(&tokens.place(&settings));
        server.answer([Answer::Error("invalid_grant", number)]);
        refused(&tokens, &settings, DeliveryFailure::NotSignedIn, &[words, "run `runner mail login`"]);
    }
    // What can't be read is told as that.
    std::fs::write(tokens.place(&settings), "{\"version\": 99}").unwrap();
    let fresh = Tokens::new(test.path("state"));
    refused(&fresh, &settings, DeliveryFailure::NotSignedIn, &["a newer runner wrote it", "runner mail login"]);
    assert!(!fresh.is_stored(&settings));
}

/// A project whose mailbox a person has to sign in.
fn project(test: &Test, server: &TokenServer) -> Project {
    test.project("p").script("a.txt", "print a").set("email_strategy", "all").file(
        ".env",
        format!("LOGIN_MAIL=runs@example.test\nMAIL_CLIENT_ID=client-1\nMAIL_AUTHORITY={}\n", server.authority()),
    )
}

fn finding<'a>(findings: &'a [Value], check: &str) -> &'a Value {
    findings.iter().find(|finding| finding["check"] == check).unwrap_or_else(|| panic!("{check}: {findings:#?}"))
}

#[test]
fn the_command_signs_a_mailbox_in() {
    let (server, test) = (TokenServer::start(), Test::new());
    let project = project(&test, &server);
    let findings = test.runner(["doctor", "p", "--json"]).expect(0).json();
    let sign_in = finding(&findings, "sign-in");
    assert_eq!(sign_in["state"], "warning", "{sign_in}");
    assert!(sign_in["found"].as_str().unwrap().contains("runs@example.test is not signed in for"), "{sign_in}");
    assert!(sign_in["remedy"].as_str().unwrap().contains("runner mail login"), "{sign_in}");

    server.answer([Answer::Error("authorization_pending", 70_016), Answer::Error("authorization_pending", 70_016)]);
    let told = Finished::of(test.command(["mail", "login"]).current_dir(&project.root).output().unwrap()).expect(0);
    for words in [
        "To sign runs@example.test in, open https://login.example.test/device in a browser and enter the code ABCD-1234",
        "signed in as runs@example.test",
        &format!("kept in {}", test.path("state").join("tokens").display()),
        &format!("for the account {} of this computer alone", Tokens::system_account()),
    ] {
        assert!(told.stdout.contains(words), "{words}\n{}", told.stdout);
    }
    let findings = test.runner(["doctor", "p", "--json"]).expect(0).json();
    let sign_in = finding(&findings, "sign-in");
    assert_eq!(sign_in["state"], "ok", "{sign_in}");
    for words in ["OAuth", "client-1", "state", "tokens", &Tokens::system_account()] {
        assert!(sign_in["found"].as_str().unwrap().contains(words), "{words}: {sign_in}");
    }
    assert_eq!(finding(&findings, "mail")["found"], "runs@example.test signs in to smtp.office365.com:587 (not tried)");

    // Somebody else's account may be meant, or not.
    server.set_account("me@example.test");
    let told = test.runner(["mail", "login", "p"]).expect(0);
    assert!(told.stdout.contains("signed in as me@example.test"), "{}", told.stdout);
    assert!(told.stderr.contains("permission to send as runs@example.test"), "{}", told.stderr);
}

#[test]
fn a_sign_in_that_fails_says_why() {
    let (server, test) = (TokenServer::start(), Test::new());
    let project = project(&test, &server);
    for (word, number, code, words) in [
        ("authorization_declined", 0, 1, "the sign-in was declined"),
        ("expired_token", 70_020, 1, "the code has expired"),
        ("invalid_client", 7_000_218, 2, "allow public client flows"),
        ("invalid_client", 50_194, 2, "set MAIL_TENANT_ID to that directory's ID"),
        ("unauthorized_client", 700_016, 2, "check MAIL_CLIENT_ID"),
    ] {
        server.answer([Answer::Error(word, number)]);
        let told = test.runner(["mail", "login", "p"]).expect(code);
        assert!(told.stderr.contains(words), "{words}\n{}", told.stderr);
    }
    // Without an application, with its secret, and without anything.
    let _ = project.file(".env", "LOGIN_MAIL=a@example.com\nPASSWORD_MAIL=hunter2\n");
    let told = test.runner(["mail", "login", "p"]).expect(2);
    assert!(told.stderr.contains("MAIL_CLIENT_ID is not set"), "{}", told.stderr);
    let _ = test
        .existing("p")
        .file(".env", "LOGIN_MAIL=a@example.com\nMAIL_CLIENT_ID=c\nMAIL_TENANT_ID=t\nMAIL_CLIENT_SECRET=hunter2\n");
    let told = test.runner(["mail", "login", "p"]).expect(2);
    assert!(told.stderr.contains("nobody has to") && !told.stderr.contains("hunter2"), "{}", told.stderr);
    let _ = test.existing("p").file(".env", "MAIL_CLIENT_SECRET=hunter2\n");
    let told = test.runner(["mail", "login", "p"]).expect(2);
    let names = "MissingEnvironmentVariable: LOGIN_MAIL and MAIL_CLIENT_ID and MAIL_TENANT_ID are not set";
    assert!(told.stderr.contains(names), "{}", told.stderr);
}

/// Windows has no signal that a test could send to one process.
#[cfg(unix)]
#[test]
fn a_sign_in_can_be_given_up_at_any_time() {
    use std::io::{BufRead, BufReader};

    use rustix::process::{Pid, Signal, kill_process};
    let (server, test) = (TokenServer::start(), Test::new());
    project(&test, &server);
    server.answer([Answer::Silence]);
    let mut login = test.start(["mail", "login", "p"]);
    let mut line = String::new();
    let mut stdout = BufReader::new(login.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    assert!(line.contains("ABCD-1234"), "{line}");
    wait_for("a request that isn't answered", || (!server.grants().is_empty()).then_some(()));
    kill_process(Pid::from_child(&login), Signal::INT).unwrap();
    let told = crate::harness::finish(login).expect(130);
    assert!(told.stderr.contains("given up (Ctrl-C); nobody was signed in"), "{}", told.stderr);
    assert!(!test.path("state/tokens").exists());
}

#[test]
fn a_password_stands_in_until_a_person_has_signed_in() {
    let (server, test) = (TokenServer::start(), Test::new());
    let project = project(&test, &server);
    let env = std::fs::read_to_string(project.root.join(".env")).unwrap() + "PASSWORD_MAIL=hunter2-hunter2\n";
    let project = project.file(".env", env);
    let sign_in = |findings: &[Value]| finding(findings, "sign-in")["found"].as_str().unwrap().to_owned();
    let found = sign_in(&test.runner(["doctor", "p", "--json"]).expect(0).json());
    assert!(found.contains("password") && found.contains("December 2026"), "{found}");
    test.runner(["mail", "login", "p"]).expect(0);
    let found = sign_in(&test.runner(["doctor", "p", "--json"]).expect(0).json());
    assert!(found.contains("OAuth"), "{found}");
    // Other hosts' passwords are nobody's business.
    let _ = project.file(".env", "LOGIN_MAIL=a@example.test\nPASSWORD_MAIL=x\nMAIL_HOST=mail.example.test\n");
    let findings = test.runner(["doctor", "p", "--json"]).expect(0).json();
    assert_eq!(finding(&findings, "sign-in")["state"], "ok");
}
