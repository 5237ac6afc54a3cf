//! Calls a web address, and says in plain words what came of it.

use std::error::Error as _;
use std::io::{self, Read};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use secrecy::ExposeSecret;
use ureq::http::{Response, StatusCode};
use ureq::{Agent, Body, Error, Timeout};

use super::{WebRequest, WebSlot};
use crate::mail::http::agent;
use crate::mail::render::one_line;
use crate::mail::{Accepted, Deadline, DeliveryError, DeliveryFailure, Stage};
use crate::model::{format_duration, parse_duration};

/// No call takes longer: whoever doesn't answer by then won't.
const LONGEST: Duration = Duration::from_secs(20);
/// How soon a deadline that was brought forward is noticed.
const LOOK: Duration = Duration::from_millis(50);
/// Bytes of a refusal's words that are read, characters that are kept, and how long they are waited for.
const ANSWER: (u64, usize, Duration) = (2048, 200, Duration::from_secs(2));

/// Calls the address before the deadline. An answer of the 200s says that it was heard.
///
/// # Errors
/// When there is no answer, or another one. What is refused for good ([`DeliveryFailure::Permanent`]) needn't be tried again.
pub fn call(request: &WebRequest, deadline: &Deadline) -> Result<Accepted, DeliveryError> {
    let limit = deadline.left().min(LONGEST);
    let late = |within: Duration| DeliveryError {
        failure: DeliveryFailure::Deadline,
        stage: Stage::Message,
        sentence: format!("{} did not answer within {}", request.shown, format_duration(within)),
        reply: None,
    };
    if limit.is_zero() {
        return Err(late(limit));
    }
    // On a thread of its own, so that nothing that the other side does keeps the caller beyond the deadline.
    let (sender, receiver) = mpsc::channel();
    let own = request.clone();
    let work = move || {
        let _ = sender.send(exchange(&own, limit));
    };
    let thread = std::thread::Builder::new().name("web".into()).spawn(work);
    if let Err(error) = thread {
        let sentence = format!("{} was not called: no thread to do it on: {error}", request.shown);
        return Err(DeliveryError {
            failure: DeliveryFailure::Temporary,
            stage: Stage::Connect,
            sentence,
            reply: None,
        });
    }
    let begun = std::time::Instant::now();
    loop {
        match receiver.recv_timeout(deadline.left().min(LOOK)) {
            Ok(result) => return result,
            Err(RecvTimeoutError::Timeout) if !deadline.left().is_zero() => {}
            Err(_) => return Err(late(begun.elapsed())),
        }
    }
}

fn exchange(request: &WebRequest, limit: Duration) -> Result<Accepted, DeliveryError> {
    let agent = agent(request.ca.as_deref(), limit);
    let mut answer = post(&agent, request);
    let none =
        |answer: &Response<Body>| [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED].contains(&answer.status());
    // Some watchdogs are told by being looked at, and know no other way.
    if request.slot != WebSlot::Webhook && answer.as_ref().is_ok_and(none) {
        let url = request.url.expose_secret();
        answer = agent.get(url).config().https_only(is_encrypted(url)).timeout_recv_body(Some(ANSWER.2)).build().call();
    }
    judge(answer.map_err(|error| explain(&error, request, limit))?, request)
}

fn post(agent: &Agent, request: &WebRequest) -> Result<Response<Body>, Error> {
    let url = request.url.expose_secret();
    let post = agent.post(url).config().https_only(is_encrypted(url)).timeout_recv_body(Some(ANSWER.2));
    // What follows a redirect is asked for without the body: a page that wants one to sign in would look like success.
    let (post, media_type) = match request.slot {
        WebSlot::Webhook => (post.max_redirects(0), "application/json"),
        _ => (post, "text/plain; charset=utf-8"),
    };
    post.build().content_type(media_type).send(request.body.as_str())
}

/// Then no redirect may lead to where what is secret in an address could be read.
fn is_encrypted(url: &str) -> bool {
    url.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:"))
}

fn judge(mut answer: Response<Body>, request: &WebRequest) -> Result<Accepted, DeliveryError> {
    let status = answer.status();
    if status.is_success() {
        let reply = status.to_string();
        return Ok(Accepted { reply, refused: Vec::new(), message_id: None });
    }
    let wait = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse::<u32>().ok());
    let mut bytes = Vec::new();
    // Only to be told: what the answer is stands in the status.
    let _ = answer.body_mut().as_reader().take(ANSWER.0).read_to_end(&mut bytes);
    let said = hide(&String::from_utf8_lossy(&bytes), request.url.expose_secret());
    let reply = one_line(&format!("{} {said}", status.as_str()), ANSWER.1);
    let shown = &request.shown;
    let (failure, sentence) = match status.as_u16() {
        408 | 429 => {
            let wait = wait.and_then(|wait| parse_duration(&wait.to_string()).ok()).map(format_duration);
            let wait = wait.map_or_else(String::new, |wait| format!(" for {wait}"));
            (DeliveryFailure::Temporary, format!("{shown} asks to be left alone{wait}; it is tried again later"))
        }
        404 | 410 => {
            let hint = "check that it is whole, and that the check or the webhook wasn't deleted";
            (DeliveryFailure::Permanent, format!("there is nothing at the address at {shown}; {hint}"))
        }
        401 | 403 => {
            let hint = "check the address, which holds the permission to call it";
            (DeliveryFailure::Permanent, format!("{shown} doesn't allow the call; {hint}"))
        }
        300..=399 => {
            let hint = "write the address that it leads to; a body isn't sent on";
            (DeliveryFailure::Permanent, format!("{shown} sends callers elsewhere; {hint}"))
        }
        400..=499 => {
            let hint = match request.slot {
                WebSlot::Webhook => "check `mail.webhook.body`: each chat wants a form of its own",
                _ => "check the address",
            };
            (DeliveryFailure::Permanent, format!("{shown} doesn't take what is sent; {hint}"))
        }
        _ => (DeliveryFailure::Temporary, format!("{shown} has trouble; it is tried again later")),
    };
    Err(DeliveryError { failure, stage: Stage::Message, sentence, reply: Some(reply) })
}

/// An answer without the parts of the address in it: some repeat what they were called by.
fn hide(answer: &str, url: &str) -> String {
    const SECRET: usize = 6; // characters; what is shorter is a word of the address
    let path = url.split_once("://").map_or(url, |(_, rest)| rest);
    let parts = path.split(['/', '?', '&', '=', '#', '@', ':']).skip(1).filter(|part| part.len() >= SECRET);
    parts.fold(answer.to_owned(), |answer, part| answer.replace(part, "***"))
}

/// What an error of the connection means. Errors repeat addresses, so that only their causes are told.
fn explain(error: &Error, request: &WebRequest, limit: Duration) -> DeliveryError {
    let shown = &request.shown;
    let network = "check the address and that the network lets this machine out";
    let (failure, stage, sentence) = match error {
        Error::Timeout(timeout) => {
            let stage = match timeout {
                Timeout::Resolve => Stage::Lookup,
                Timeout::Connect => Stage::Connect,
                _ => Stage::Message,
            };
            let sentence = format!("{shown} did not answer within {}", format_duration(limit));
            (DeliveryFailure::Deadline, stage, sentence)
        }
        Error::HostNotFound => {
            (DeliveryFailure::NoSuchHost, Stage::Lookup, format!("cannot find the host of {shown}; {network}"))
        }
        Error::Rustls(error) => tls(error, shown),
        Error::Tls(_) | Error::TlsRequired => {
            (DeliveryFailure::Tls, Stage::StartTls, format!("no encryption could be agreed on with {shown}"))
        }
        Error::Io(error) => explain_io(error, shown, network),
        Error::ConnectionFailed | Error::ConnectProxyFailed(_) | Error::InvalidProxyUrl => {
            let hint = "check the network, and the proxy if the environment names one (HTTPS_PROXY)";
            (DeliveryFailure::Unreachable, Stage::Connect, format!("cannot connect to {shown}; {hint}"))
        }
        Error::TooManyRedirects | Error::RedirectFailed | Error::RequireHttpsOnly(_) => {
            let hint = "write the address that it leads to";
            (DeliveryFailure::Permanent, Stage::Message, format!("{shown} sends callers elsewhere; {hint}"))
        }
        Error::BadUri(_) | Error::Http(_) => {
            (DeliveryFailure::Permanent, Stage::Lookup, format!("the address at {shown} can't be called; check it"))
        }
        _ => {
            let sentence = format!("{shown} doesn't answer as web servers do; check the address");
            (DeliveryFailure::ConnectionLost, Stage::Message, sentence)
        }
    };
    DeliveryError { failure, stage, sentence, reply: None }
}

fn explain_io(error: &io::Error, shown: &str, network: &str) -> (DeliveryFailure, Stage, String) {
    let inner = error.get_ref();
    if let Some(error) = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return tls(error, shown);
    }
    let cause = one_line(&error.to_string(), 200);
    match error.kind() {
        io::ErrorKind::ConnectionRefused
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::AddrNotAvailable => {
            let sentence = format!("cannot connect to {shown}: {cause}; {network}");
            (DeliveryFailure::Unreachable, Stage::Connect, sentence)
        }
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => {
            let sentence = format!("the connection to {shown} broke, so nobody knows whether it was heard: {cause}");
            (DeliveryFailure::ConnectionLost, Stage::Message, sentence)
        }
        // What the system's resolver says has no kind of its own.
        _ => (DeliveryFailure::NoSuchHost, Stage::Lookup, format!("cannot reach {shown}: {cause}; {network}")),
    }
}

fn tls(error: &rustls::Error, shown: &str) -> (DeliveryFailure, Stage, String) {
    let cause = one_line(&error.source().map_or_else(|| error.to_string(), ToString::to_string), 200);
    if matches!(error, rustls::Error::InvalidCertificate(_)) {
        let hint = "nothing was sent, since anybody could be listening there; check this machine's clock, and if the certificate is \
                    issued by your own organisation, name that issuer's in MAIL_CA_FILE";
        let sentence = format!("THE CERTIFICATE OF {shown} IS NOT TO BE TRUSTED: {cause}; {hint}");
        return (DeliveryFailure::Certificate, Stage::StartTls, sentence);
    }
    (DeliveryFailure::Tls, Stage::StartTls, format!("no encryption could be agreed on with {shown}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_repeats_the_address_is_hidden() {
        for (answer, url, shown) in [
            (
                "Cannot POST /api/push/s3cret-id",
                "https://a.example/api/push/s3cret-id?x=s3cret2",
                "Cannot POST /api/push/***",
            ),
            ("s3cret2!", "https://a.example?token=s3cret2", "***!"),
            ("ok", "https://a.example/ok", "ok"),
        ] {
            assert_eq!(hide(answer, url), shown);
        }
    }
}
