//! Which names tell of a secret, and where in a text a password stands. Pure.

/// Words that make a variable's name that of a secret. A word of a name counts if it ends so, plural and number aside:
/// `PGPASSWORD`, `DB_PASSWORD2`, `githubTokens`.
const ENDINGS: [&str; 7] = ["PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "TOKEN", "APIKEY", "CREDENTIAL"];
/// The same, of words that stand alone: other words end like them.
const WORDS: [&str; 6] = ["PWD", "PASS", "AUTH", "AUTHORIZATION", "DSN", "WEBHOOK"];
/// What makes the word `KEY` that comes next one of a secret; a `SORT_KEY` is none.
const KINDS_OF_KEY: [&str; 9] =
    ["API", "ACCESS", "PRIVATE", "SECRET", "ENCRYPTION", "SIGNING", "MASTER", "ACCOUNT", "AUTH"];
/// Last words of names that say where a secret is, or what is to be done with it, and not what it is.
const POINTERS: [&str; 13] =
    ["FILE", "PATH", "DIR", "FOLDER", "SOCK", "SOCKET", "NAME", "USER", "USERNAME", "HOST", "PORT", "TYPE", "METHOD"];
/// Whether a variable of this name holds a secret.
#[must_use]
pub fn is_secret_name(name: &str) -> bool {
    // The shell's working folder.
    if name == "PWD" {
        return false;
    }
    let words = words(name);
    if words.last().is_some_and(|last| POINTERS.contains(&last.as_str())) {
        return false;
    }
    words.iter().enumerate().any(|(at, word)| {
        let word = word.trim_end_matches(|c: char| c.is_ascii_digit());
        let one = word.strip_suffix('S').unwrap_or(word);
        ENDINGS.iter().any(|ending| word.ends_with(ending) || one.ends_with(ending))
            || WORDS.contains(&word)
            || WORDS.contains(&one)
            || one == "KEY" && at > 0 && KINDS_OF_KEY.contains(&words[at - 1].as_str())
    })
}

/// The words of a name, in capitals: parted by what is no letter or digit, and where small letters turn into capitals.
fn words(name: &str) -> Vec<String> {
    let characters: Vec<char> = name.chars().collect();
    let mut words = vec![String::new()];
    for (at, &c) in characters.iter().enumerate() {
        let before = at.checked_sub(1).map(|at| characters[at]);
        let after = characters.get(at + 1);
        let begins = c.is_uppercase()
            && before.is_some_and(|before| {
                before.is_lowercase() || before.is_uppercase() && after.is_some_and(|after| after.is_lowercase())
            });
        if begins || !c.is_alphanumeric() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            word.extend(c.to_uppercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The passwords inside a value: `scheme://user:PASSWORD@host`, and `Password=…;` of connection strings.
pub fn passwords_within(value: &str) -> impl Iterator<Item = &str> {
    let addresses = value.match_indices("://").filter_map(|(at, mark)| {
        let rest = &value[at + mark.len()..];
        let authority = rest.split(|c: char| "/?#\"'".contains(c) || c.is_whitespace()).next()?;
        let (user, _host) = authority.rsplit_once('@')?;
        Some(user.split_once(':')?.1)
    });
    let pairs = value.split(|c: char| ";&?,\"'".contains(c) || c.is_whitespace()).filter_map(|pair| {
        let (name, password) = pair.split_once('=')?;
        (name.eq_ignore_ascii_case("PWD") || is_secret_name(name)).then_some(password)
    });
    addresses.chain(pairs)
}

/// A text with `***` for the passwords inside of it.
#[must_use]
pub fn without_passwords(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut from = 0;
    // By their places: a password may be a word that stands elsewhere, too.
    let mut places: Vec<(usize, usize)> = passwords_within(text)
        .filter(|password| !password.is_empty())
        .map(|password| (password.as_ptr() as usize - text.as_ptr() as usize, password.len()))
        .collect();
    places.sort_unstable();
    for (at, length) in places {
        if at + length > from {
            shown.push_str(text.get(from..at).unwrap_or_default());
            shown.push_str("***");
            from = at + length;
        }
    }
    shown.push_str(&text[from..]);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_told_from_others() {
        for name in [
            "PASSWORD_MAIL",
            "MAIL_CLIENT_SECRET",
            "GITHUB_TOKEN",
            "DbPwd",
            "db-pass",
            "api_key",
            "apiKey",
            "APIKey",
            "APIKEY",
            "AWS_SECRET_ACCESS_KEY",
            "PGPASSWORD",
            "DB_PASSWORD2",
            "MYSQL_PWD",
            "SENTRY_DSN",
            "SLACK_WEBHOOK_URL",
            "PROXY_AUTHORIZATION",
            "STRIPE_SECRETS",
            "CREDENTIALS",
            "ENCRYPTION_KEYS",
            "Passphrase",
            "OAuthToken",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in [
            "PATH",
            "PWD",
            "OLDPWD",
            "LOGIN_MAIL",
            "SORT_KEY",
            "KEYBOARD",
            "MONKEY",
            "COMPASS",
            "BYPASS",
            "AUTHOR",
            "TOKENIZERS_PARALLELISM",
            "SECRETARY",
            "SSH_AUTH_SOCK",
            "DB_PASSWORD_FILE",
            "AUTH_USER",
            "XAUTHORITY",
            "",
        ] {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn texts_are_shown_without_their_passwords() {
        for (text, shown) in [
            ("postgres://app:app@db/app", "postgres://app:***@db/app"),
            ("http://a:one2@h, http://b:two3@h", "http://a:***@h, http://b:***@h"),
            ("host=db password=host", "host=db password=***"),
            ("--password=a@b", "--password=***"),
            ("é = x", "é = x"),
        ] {
            assert_eq!(without_passwords(text), shown);
        }
    }
}
