//! What it means that there is no token, and what to do about it, in plain words. Pure.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::mail::render::one_line;
use crate::mail::{DeliveryError, DeliveryFailure, MailSettings, SignIn, Stage};
use crate::model::format_duration;

use DeliveryFailure::{Certificate, NotSignedIn, TokenRefused, TokenUnavailable};

/// Characters of an answer that are kept.
const REPLY: usize = 400;

/// A refusal as RFC 6749, section 5.2, has it, with the numbers that Microsoft adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) error: String,
    description: String,
    codes: Vec<u64>,
}

impl Refusal {
    /// `None` if the answer is no refusal.
    pub(super) fn of(answer: &Value) -> Option<Self> {
        let error = answer.get("error")?.as_str()?.to_owned();
        let description = answer.get("error_description").and_then(Value::as_str).unwrap_or_default();
        let codes = answer.get("error_codes").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_u64);
        let mut codes: Vec<u64> = codes.collect();
        // Where they are missing, the first stands before the description: `AADSTS7000215: Invalid client secret…`.
        let digits =
            description.strip_prefix("AADSTS").and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next());
        codes.extend(digits.and_then(|digits| digits.parse::<u64>().ok()));
        // What follows is of use to Microsoft's support alone.
        let description = description.split(" Trace ID:").next().unwrap_or_default();
        let description = description.lines().next().unwrap_or_default().trim().to_owned();
        Some(Self { error, description, codes })
    }

    fn reply(&self) -> String {
        one_line(&format!("{}: {}", self.error, self.description), REPLY)
    }
}

fn error(failure: DeliveryFailure, sentence: String, reply: Option<String>) -> DeliveryError {
    DeliveryError { failure, stage: Stage::Token, sentence, reply }
}

/// Nobody has signed in, as far as this account of the operating system can see. `why` says what keeps it from seeing.
pub(super) fn nobody_signed_in(
    settings: &MailSettings,
    account: &str,
    place: &Path,
    why: Option<&str>,
) -> DeliveryError {
    let login = &settings.login;
    let sentence = match why {
        Some(why) => format!("{why}; run `runner mail login` as {account} to sign {login} in again"),
        None => format!(
            "{login} is not signed in for the account {account} of this machine (there is no token in {}); run `runner mail login` \
             as that account",
            place.display()
        ),
    };
    error(NotSignedIn, sentence, None)
}

/// Another process renews the token, and doesn't get done.
pub(super) fn busy(settings: &MailSettings, limit: Duration) -> DeliveryError {
    let within = format_duration(limit);
    let sentence =
        format!("another runner has been renewing the token of {} for {within}; try again later", settings.login);
    error(TokenUnavailable, sentence, None)
}

/// These settings have a password.
pub(super) fn none_needed(settings: &MailSettings) -> DeliveryError {
    error(TokenRefused, format!("{} signs in with a password, so there is no token", settings.login), None)
}

/// The person didn't sign in in time.
pub(super) fn too_late(lifetime: Duration) -> DeliveryError {
    let within = format_duration(lifetime);
    error(NotSignedIn, format!("nobody has signed in within {within}; run `runner mail login` again"), None)
}

/// The tokens were issued, and can't be kept.
pub(super) fn not_kept(place: &Path, cause: &std::io::Error) -> DeliveryError {
    let sentence = format!(
        "signed in, but the token can't be kept in {}: {cause}; let this account write there, or name another folder with \
         `--state-dir`",
        place.display()
    );
    error(DeliveryFailure::File, sentence, None)
}

/// The endpoint gave no answer.
pub(super) fn unanswered(cause: &ureq::Error, settings: &MailSettings, limit: Duration) -> DeliveryError {
    let authority = &settings.authority;
    let text = one_line(&cause.to_string(), REPLY);
    let (failure, sentence) = if text.to_ascii_lowercase().contains("invalid peer certificate") {
        let hint = "nothing was sent, since anybody could be listening there; check MAIL_AUTHORITY and this machine's clock, \
                    and if your network looks into encrypted connections, name its issuer's certificate in MAIL_CA_FILE";
        (Certificate, format!("THE CERTIFICATE OF {authority} IS NOT TO BE TRUSTED: {text}; {hint}"))
    } else if matches!(cause, ureq::Error::Timeout(_)) {
        let within = format_duration(limit);
        (TokenUnavailable, format!("{authority} issued no token within {within}; try again later"))
    } else {
        let hint = "check the network, the proxy (HTTPS_PROXY) if there is one, and MAIL_AUTHORITY";
        (TokenUnavailable, format!("cannot ask {authority} for a token: {text}; {hint}"))
    };
    error(failure, sentence, None)
}

/// The endpoint says that it can't answer now.
pub(super) fn in_trouble(status: u16, refusal: Option<&Refusal>, settings: &MailSettings) -> DeliveryError {
    let what = if status == 429 { "has been asked too often" } else { "has trouble" };
    let sentence = format!("{} {what} (HTTP {status}) and issues no token now; try again later", settings.authority);
    error(TokenUnavailable, sentence, refusal.map(Refusal::reply))
}

/// Something answered that is no token endpoint: a captive portal, a proxy, or a wrong address.
pub(super) fn strange_answer(status: u16, settings: &MailSettings) -> DeliveryError {
    let sentence = format!(
        "{} answered (HTTP {status}), but not as an issuer of tokens does; check MAIL_AUTHORITY, and whether a proxy or a \
         sign-in page of the network answers in its place",
        settings.authority
    );
    error(TokenUnavailable, sentence, None)
}

/// Why no token is issued. The numbers are those of "Microsoft Entra authentication and authorization error codes"; where
/// there is none that is known, the standard's word decides.
pub(super) fn refusal(refusal: &Refusal, settings: &MailSettings) -> DeliveryError {
    let (tenant, client_id, is_app) = match &settings.sign_in {
        SignIn::App { tenant, client_id, .. } => (tenant.as_str(), client_id.as_str(), true),
        SignIn::Delegated { tenant, client_id } => (tenant.as_str(), client_id.as_str(), false),
        SignIn::Password(_) => ("", "", false),
    };
    let login = &settings.login;
    let known = refusal.codes.iter().find_map(|code| by_number(*code, tenant, client_id, login, is_app));
    let (failure, sentence) = known.unwrap_or_else(|| by_word(&refusal.error, client_id, login, is_app));
    error(failure, sentence, Some(refusal.reply()))
}

fn sign_in_again(what: &str) -> Option<(DeliveryFailure, String)> {
    Some((NotSignedIn, format!("{what}; run `runner mail login`")))
}

fn by_number(code: u64, tenant: &str, client_id: &str, login: &str, is_app: bool) -> Option<(DeliveryFailure, String)> {
    const PORTAL: &str = "in the Entra admin center (App registrations)";
    let consent = if is_app {
        "have an administrator grant it SMTP.SendAsApp (Office 365 Exchange Online, application permission) and consent to it"
    } else {
        "add SMTP.Send (Office 365 Exchange Online or Microsoft Graph, delegated) to it, run `runner mail login` and agree; \
         where only administrators may agree, ask one"
    };
    let sentence = match code {
        7_000_215 => format!(
            "the secret of the application {client_id} is wrong; put the secret's value, not its ID, into MAIL_CLIENT_SECRET"
        ),
        7_000_222 => format!(
            "the secret of the application {client_id} has expired; make a new one {PORTAL} and put it into MAIL_CLIENT_SECRET"
        ),
        7_000_216 | 7_000_218 if is_app => {
            format!("the application {client_id} was asked for a secret and gave none; set MAIL_CLIENT_SECRET")
        }
        7_000_216 | 7_000_218 => format!(
            "the application {client_id} may not sign people in without a secret; allow public client flows in it {PORTAL}, \
             under Authentication"
        ),
        700_016 => format!(
            "the application {client_id} is not known in the directory {tenant}; check MAIL_CLIENT_ID (the application's ID, \
             not its object's) and MAIL_TENANT_ID"
        ),
        7_000_112 => format!("the application {client_id} is disabled; have an administrator enable it"),
        90_002 | 900_021 | 900_023 => format!("there is no directory {tenant}; check MAIL_TENANT_ID"),
        50_194 => format!(
            "the application {client_id} is for its own directory only, not for `{tenant}`; set MAIL_TENANT_ID to that \
             directory's ID"
        ),
        50_020 | 50_034 => {
            format!(
                "the account is not one of the directory {tenant}; check MAIL_TENANT_ID, and who signs in for {login}"
            )
        }
        9_002_331 | 9_002_332 | 9_002_346 => format!(
            "the application {client_id} takes other accounts than those of `{tenant}`; set MAIL_TENANT_ID to consumers for \
             Outlook.com, else to the directory's ID"
        ),
        65_001 | 65_004 | 90_094 | 90_095 | 650_056 | 650_057 => {
            format!("the application {client_id} has no permission to send mail; {consent}")
        }
        500_011 => {
            format!(
                "the directory {tenant} has no Exchange Online; check MAIL_TENANT_ID, and that it is the mailbox's directory"
            )
        }
        50_057 => format!("the account that signs in for {login} is disabled; have an administrator enable it"),
        53_000..=53_004 | 530_003 => format!(
            "a rule of the directory (Conditional Access) keeps {login} from signing in here; ask an administrator to except \
             this application"
        ),
        // 90 days without a mail, or six months, or what the directory says.
        700_082 | 700_084 | 70_008 | 70_043 | 50_089 => {
            return sign_in_again(&format!("the sign-in of {login} has expired"));
        }
        50_173 | 50_133 | 70_000 | 50_132 | 50_055 => {
            return sign_in_again(&format!("the sign-in of {login} was withdrawn, as after a change of its password"));
        }
        50_076 | 50_078 | 50_079 | 50_158 => {
            return sign_in_again(&format!("the directory wants {login} to sign in anew, with its second factor"));
        }
        70_019 | 70_020 => return sign_in_again("the code has expired before anybody signed in with it"),
        90_033 | 90_012 | 50_196 => {
            let what = "the issuer of tokens is too busy for this application; try again later".to_owned();
            return Some((TokenUnavailable, what));
        }
        _ => return None,
    };
    Some((TokenRefused, sentence))
}

fn by_word(word: &str, client_id: &str, login: &str, is_app: bool) -> (DeliveryFailure, String) {
    match word {
        "temporarily_unavailable" | "server_error" => {
            (TokenUnavailable, "the issuer of tokens has trouble; try again later".to_owned())
        }
        "invalid_client" => (
            TokenRefused,
            format!(
                "the application {client_id} or its secret is refused; check MAIL_CLIENT_ID and MAIL_CLIENT_SECRET"
            ),
        ),
        "unauthorized_client" => (
            TokenRefused,
            format!(
                "the application {client_id} may not sign in this way; check MAIL_TENANT_ID, and how it is registered"
            ),
        ),
        "access_denied" | "authorization_declined" => {
            (NotSignedIn, "the sign-in was declined; run `runner mail login` again and agree".to_owned())
        }
        "expired_token" => (
            NotSignedIn,
            "the code has expired before anybody signed in with it; run `runner mail login` again".to_owned(),
        ),
        "invalid_grant" | "interaction_required" | "consent_required" | "login_required" if !is_app => {
            let sentence = format!("the sign-in of {login} has expired or was withdrawn; run `runner mail login`");
            (NotSignedIn, sentence)
        }
        _ => (
            TokenRefused,
            format!("no token is issued to the application {client_id}; check MAIL_CLIENT_ID and MAIL_TENANT_ID"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::mail::MailTls;

    fn settings(sign_in: SignIn) -> MailSettings {
        MailSettings {
            host: "smtp.office365.com".into(),
            port: 587,
            tls: MailTls::StartTls,
            login: "runs@contoso.example".into(),
            sign_in,
            from: "runs@contoso.example".parse().unwrap(),
            ca: None,
            authority: "https://login.microsoftonline.com".into(),
            rate: None,
        }
    }

    fn app() -> MailSettings {
        let (tenant, client_id) = ("contoso.example".into(), "client-1".into());
        settings(SignIn::App { tenant, client_id, client_secret: "s3cret".into() })
    }

    fn person() -> MailSettings {
        settings(SignIn::Delegated { tenant: "common".into(), client_id: "client-1".into() })
    }

    fn told(settings: &MailSettings, word: &str, number: u64) -> DeliveryError {
        let answer =
            json!({ "error": word, "error_codes": [number], "error_description": "AADSTS1: What Entra says." });
        refusal(&Refusal::of(&answer).unwrap(), settings)
    }

    #[test]
    fn each_refusal_is_explained_with_its_remedy() {
        let cases = [
            (app(), "invalid_client", 7_000_215, TokenRefused, "the secret's value, not its ID"),
            (app(), "invalid_client", 7_000_222, TokenRefused, "has expired; make a new one"),
            (app(), "invalid_client", 7_000_218, TokenRefused, "set MAIL_CLIENT_SECRET"),
            (person(), "invalid_client", 7_000_218, TokenRefused, "allow public client flows"),
            (
                app(),
                "unauthorized_client",
                700_016,
                TokenRefused,
                "the application client-1 is not known in the directory contoso",
            ),
            (
                app(),
                "invalid_request",
                90_002,
                TokenRefused,
                "there is no directory contoso.example; check MAIL_TENANT_ID",
            ),
            (person(), "invalid_request", 50_194, TokenRefused, "set MAIL_TENANT_ID to that directory's ID"),
            (app(), "invalid_grant", 65_001, TokenRefused, "SMTP.SendAsApp"),
            (person(), "invalid_grant", 65_001, TokenRefused, "SMTP.Send ("),
            (person(), "invalid_grant", 53_003, TokenRefused, "Conditional Access"),
            (person(), "invalid_grant", 700_082, NotSignedIn, "has expired; run `runner mail login`"),
            (
                person(),
                "invalid_grant",
                50_173,
                NotSignedIn,
                "as after a change of its password; run `runner mail login`",
            ),
            (person(), "interaction_required", 50_076, NotSignedIn, "second factor; run `runner mail login`"),
            (app(), "invalid_request", 90_033, TokenUnavailable, "try again later"),
            // What isn't known by its number.
            (app(), "invalid_client", 1, TokenRefused, "check MAIL_CLIENT_ID and MAIL_CLIENT_SECRET"),
            (person(), "invalid_grant", 1, NotSignedIn, "run `runner mail login`"),
            (app(), "invalid_grant", 1, TokenRefused, "check MAIL_CLIENT_ID"),
            (app(), "something_new", 1, TokenRefused, "no token is issued to the application client-1"),
            (person(), "access_denied", 1, NotSignedIn, "was declined"),
        ];
        for (settings, word, number, failure, words) in cases {
            let error = told(&settings, word, number);
            assert_eq!((error.failure, error.stage), (failure, Stage::Token), "{number}: {error}");
            assert!(error.sentence.contains(words), "{number}: {error}");
            assert_eq!(error.reply.as_deref(), Some(format!("{word}: AADSTS1: What Entra says.").as_str()));
            assert!(!error.to_string().contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn a_number_is_found_in_the_description_too() {
        let answer = json!({
            "error": "invalid_client",
            "error_description": "AADSTS7000222: The provided client secret keys are expired.\r\nTrace ID: 1\r\nCorrelation ID: 2",
        });
        let found = Refusal::of(&answer).unwrap();
        assert_eq!(found.codes, [7_000_222]);
        assert_eq!(found.reply(), "invalid_client: AADSTS7000222: The provided client secret keys are expired.");
        for none in
            [json!({}), json!({ "access_token": "t" }), json!({ "error": { "code": 1 } }), json!("error"), json!(null)]
        {
            assert_eq!(Refusal::of(&none), None, "{none}");
        }
    }
}
