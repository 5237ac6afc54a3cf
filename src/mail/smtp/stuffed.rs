//! A message as it goes over the wire.

use std::fmt;

/// A message with a dot before each line that begins with one, and the line that ends it (RFC 5321, section 4.5.2).
/// Written in one piece: a second, small write would wait for the server to acknowledge the first.
pub(super) struct Stuffed<'a>(pub(super) &'a str);

impl fmt::Display for Stuffed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The last line break belongs to the message, and the final dot stands after it.
        for line in self.0.strip_suffix("\r\n").unwrap_or(self.0).split("\r\n") {
            if line.starts_with('.') {
                f.write_str(".")?;
            }
            f.write_str(line)?;
            f.write_str("\r\n")?;
        }
        f.write_str(".\r\n")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What a server does with it, by the letter of the standard.
        #[test]
        fn a_server_finds_the_end_and_gets_the_message_back(lines in proptest::collection::vec("[.a\r\u{e4}]{0,4}", 1..8)) {
            let message: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
            prop_assume!(!message.contains("\r\r\n"));
            let wire = Stuffed(&message).to_string();
            let end = if wire == ".\r\n" { 0 } else { wire.find("\r\n.\r\n").unwrap() + 2 };
            prop_assert_eq!(&wire[end..], ".\r\n");
            let mut plain = String::new();
            for line in wire[..end].split_inclusive("\r\n") {
                plain.push_str(line.strip_prefix('.').unwrap_or(line));
            }
            prop_assert_eq!(plain, message);
        }
    }

    #[test]
    fn a_message_without_a_last_line_break_gets_one() {
        assert_eq!(Stuffed("a\r\n.").to_string(), "a\r\n..\r\n.\r\n");
    }
}
