//! Gives a message that waited the sender that is set up now: the one it was made with may be what the server refuses. Pure.

use lettre::message::header::{From, Headers};
use lettre::message::{Mailbox, Mailboxes};

/// The message with this sender in its From header; all else stays byte for byte what it was.
pub(super) fn readdressed(message: &[u8], from: &Mailbox) -> Vec<u8> {
    let mut headers = Headers::new();
    headers.set(From::from(Mailboxes::from(from.clone())));
    let field = headers.to_string();
    let (begin, end) = from_field(message).unwrap_or_default();
    let (before, after) = (message.get(..begin).unwrap_or_default(), message.get(end..).unwrap_or_default());
    [before, field.as_bytes(), after].concat()
}

/// Where the From header begins and ends, with the lines it goes on in (RFC 5322, section 2.2.3).
fn from_field(message: &[u8]) -> Option<(usize, usize)> {
    let mut at = 0;
    let mut begin = None;
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        let is_continued = line.starts_with(b" ") || line.starts_with(b"\t");
        match begin {
            Some(begin) if !is_continued => return Some((begin, at)),
            None if line.trim_ascii().is_empty() => return None,
            None if line.get(..5).is_some_and(|name| name.eq_ignore_ascii_case(b"From:")) => begin = Some(at),
            _ => {}
        }
        at += line.len();
    }
    begin.map(|begin| (begin, at))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mailbox(text: &str) -> Mailbox {
        text.parse().unwrap()
    }

    fn to_ann(message: &str) -> String {
        String::from_utf8(readdressed(message.as_bytes(), &mailbox("Ann <ann@example.com>"))).unwrap()
    }

    #[test]
    fn only_the_sender_is_another() {
        for (old, new) in [
            ("From: a@b.c\r\nTo: x@y.z\r\n\r\nhello\r\n", "From: Ann <ann@example.com>\r\nTo: x@y.z\r\n\r\nhello\r\n"),
            (
                "To: x@y.z\r\nfrom: =?utf-8?b?w6k=?=\r\n <a@b.c>\r\n\t\r\nDate: 1\r\n\r\n",
                "To: x@y.z\r\nFrom: Ann <ann@example.com>\r\nDate: 1\r\n\r\n",
            ),
            ("From: a@b.c\r\n\r\nFrom: me\r\n", "From: Ann <ann@example.com>\r\n\r\nFrom: me\r\n"),
            // What is no header, or another's, is none of it.
            ("X-From: q\r\n\r\nFrom: me\r\n", "From: Ann <ann@example.com>\r\nX-From: q\r\n\r\nFrom: me\r\n"),
            ("To: x\r\n From: y\r\n\r\n", "From: Ann <ann@example.com>\r\nTo: x\r\n From: y\r\n\r\n"),
            ("", "From: Ann <ann@example.com>\r\n"),
        ] {
            assert_eq!(to_ann(old), new, "{old:?}");
        }
    }

    #[test]
    fn a_name_of_any_letters_is_encoded() {
        let message = readdressed(b"From: a@b.c\r\n\r\n", &mailbox("\u{65e5}\u{672c} <a@example.com>"));
        assert!(
            message.is_ascii() && message.starts_with(b"From: =?utf-8?b?"),
            "{}",
            String::from_utf8_lossy(&message)
        );
        assert!(message.ends_with(b"<a@example.com>\r\n\r\n"));
    }

    proptest! {
        /// Whatever the message is, doing it twice is doing it once, and what comes after the headers stays.
        #[test]
        fn it_is_done_once_and_for_all(message in proptest::collection::vec(prop_oneof![
            Just(b"From: a@b.c\r\n".to_vec()), Just(b" more\r\n".to_vec()), Just(b"\r\n".to_vec()), Just(b"To: x\r\n".to_vec()),
            Just(b"\xff\0\r\n".to_vec()),
        ], 0..8)) {
            let message = [b"X: y\r\n".as_slice(), &message.concat()].concat();
            let ann = mailbox("Ann <ann@example.com>");
            let once = readdressed(&message, &ann);
            prop_assert_eq!(&readdressed(&once, &ann), &once);
        }
    }
}
