//! Postfix, as an instance of its own: whether a server that many use takes what the courier sends.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mail_parser::MessageParser;
use project_runner::mail::{DeliveryFailure, MailSettings, MailTls, NextStep, SignIn};

use crate::harness::{under_wine, wait_for};
use crate::letters::{courier, letter, letter_to, send, settings_of};
use crate::smtp_server::{LOGIN, PASSWORD, issue};

const MASTER: &str = "/usr/lib/postfix/sbin/master";

/// The instance; it ends with the test, and with the thread of the test if that is killed.
struct Postfix {
    master: Child,
    folder: tempfile::TempDir,
    port: u16,
    ca: String,
}

impl Postfix {
    fn start(ports: Ports) -> Option<Self> {
        if let Some(why) = why_not() {
            println!("skipped: {why}");
            return None;
        }
        // Somebody may take the port before Postfix does.
        (0..3).find_map(|_| Self::begin(ports)).or_else(|| panic!("Postfix does not start"))
    }

    fn begin(ports: Ports) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let (ca, certificate, key) = issue("127.0.0.1");
        let port = free_port();
        configure(folder.path(), port, ports, &certificate.pem(), &key.serialize_pem());
        let config = folder.path().join("etc");
        run(Command::new("postfix").arg("-c").arg(&config).arg("check"));
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let mut master = Command::new("setpriv");
        master.args(["--pdeathsig", "TERM", MASTER, "-s", "-c"]).arg(&config);
        let master = master.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let mut postfix = Self { master, folder, port, ca };
        let ready = wait_for("Postfix", || {
            let ended = postfix.master.try_wait().unwrap().is_some();
            let answers = || TcpStream::connect(("127.0.0.1", port)).is_ok();
            if ended { Some(false) } else { answers().then_some(true) }
        });
        if !ready {
            println!("Postfix ended at once: {}", postfix.log());
        }
        ready.then_some(postfix)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn settings(&self) -> MailSettings {
        settings_of(self.port, &self.ca)
    }

    /// Waits until so many mails have arrived.
    fn mails(&self, count: usize) -> Vec<Vec<u8>> {
        let files = || -> Vec<PathBuf> {
            let entries = fs::read_dir(self.folder.path().join("mail/box/new")).into_iter().flatten();
            entries.map(|entry| entry.unwrap().path()).collect()
        };
        let begin = Instant::now();
        while files().len() < count {
            assert!(begin.elapsed() < Duration::from_secs(60), "{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        files().iter().map(|file| fs::read(file).unwrap()).collect()
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        // The master ends its servers when it is asked to end, and leaves them when it is killed.
        let _ = Command::new("kill").args(["-TERM", &self.master.id().to_string()]).status();
        let _ = self.master.wait();
    }
}

/// How TLS begins.
#[derive(Clone, Copy)]
enum Ports {
    StartTls,
    Implicit,
}

/// Why there can be no Postfix here.
fn why_not() -> Option<String> {
    if !cfg!(target_os = "linux") || under_wine() {
        return Some("Postfix is only tried on Linux".to_owned());
    }
    for program in [MASTER, "/usr/sbin/saslpasswd2", "/usr/bin/setpriv"] {
        if !Path::new(program).exists() {
            return Some(format!(
                "{program} is not installed (Debian: postfix, sasl2-bin, libsasl2-modules, util-linux)"
            ));
        }
    }
    let user = Command::new("id").arg("-u").output().unwrap();
    (user.stdout != b"0\n").then(|| "an own instance of Postfix can only be started by root".to_owned())
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn configure(folder: &Path, port: u16, ports: Ports, certificate: &str, key: &str) {
    for name in ["etc/sasl", "queue", "data", "mail"] {
        fs::create_dir_all(folder.join(name)).unwrap();
    }
    let home = folder.display();
    let file = |name: &str, text: String| fs::write(folder.join(name), text).unwrap();
    file("certificate.pem", format!("{key}{certificate}"));
    // Named by Debian's Postfix relative to its folder of settings.
    file(
        "etc/sasl/smtpd.conf",
        format!(
            "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nmech_list: PLAIN LOGIN\nsasldb_path: {home}/etc/sasl/db\n"
        ),
    );
    let main = "
compatibility_level = 3.6
maillog_file = /dev/stdout
queue_directory = HOME/queue
data_directory = HOME/data
mail_owner = postfix
setgid_group = postdrop
myhostname = mail.example.test
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
virtual_mailbox_domains = example.test
virtual_mailbox_base = HOME/mail
virtual_mailbox_maps = static:box/
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
message_size_limit = 100000
smtpd_tls_security_level = may
smtpd_tls_auth_only = yes
smtpd_tls_chain_files = HOME/certificate.pem
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = cyrus
smtpd_sasl_path = smtpd
smtpd_sasl_local_domain = example.test
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_sender_login_maps = inline:{{runs@example.test = runs@example.test}}
smtpd_sender_restrictions = reject_sender_login_mismatch
smtpd_recipient_restrictions = check_recipient_access inline:{{gone@example.test = 550 5.1.1 Unknown} {busy@example.test = 450 4.2.1 Busy}}
";
    file("etc/main.cf", main.replace("HOME", &home.to_string()));
    let wrapped = match ports {
        Ports::StartTls => "",
        Ports::Implicit => " -o smtpd_tls_wrappermode=yes",
    };
    let services = "
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
";
    file("etc/master.cf", format!("127.0.0.1:{port} inet n - n - - smtpd{wrapped}{services}"));
    let (user, domain) = LOGIN.split_once('@').unwrap();
    let database = folder.join("etc/sasl/db");
    let mut passwords = Command::new("saslpasswd2");
    passwords.args(["-c", "-p", "-u", domain, "-f"]).arg(&database).arg(user).stdin(Stdio::piped());
    let mut passwords = passwords.spawn().unwrap();
    std::io::Write::write_all(&mut passwords.stdin.take().unwrap(), PASSWORD.as_bytes()).unwrap();
    assert!(passwords.wait().unwrap().success());
    run(Command::new("chown").args(["postfix"]).args([folder.join("data"), database]));
    run(Command::new("chown").arg("65534:65534").arg(folder.join("mail")));
    // Its servers run as other accounts.
    run(Command::new("chmod").arg("755").arg(folder));
}

#[test]
fn postfix_takes_many_letters_over_one_connection() {
    let Some(postfix) = Postfix::start(Ports::StartTls) else { return };
    let mut one = courier(postfix.settings());
    for index in 0..20 {
        let accepted = send(&mut one, &letter_to(&format!("number {index:02}"), &["ann@example.test"])).0.unwrap();
        assert!(
            accepted.reply.starts_with("250 2.0.0 Ok: queued as ") && accepted.message_id.is_none(),
            "{accepted:?}"
        );
    }
    drop(one);
    let mut subjects: Vec<String> = Vec::new();
    for mail in postfix.mails(20) {
        let parsed = MessageParser::default().parse(&mail).unwrap();
        assert_eq!(parsed.body_text(0).unwrap().replace("\r\n", "\n"), ".\n..\n. dots\nend.\n\n");
        subjects.push(parsed.subject().unwrap().to_owned());
    }
    subjects.sort_unstable();
    assert_eq!(subjects, (0..20).map(|index| format!("number {index:02}")).collect::<Vec<_>>());
    let log = wait_for("the farewell", || Some(postfix.log()).filter(|log| log.contains("quit=1")));
    let connections = log.lines().filter(|line| line.contains("disconnect from localhost") && line.contains("auth=1"));
    assert_eq!(connections.count(), 1, "{log}");
}

#[test]
fn postfix_s_refusals_are_understood() {
    let Some(postfix) = Postfix::start(Ports::StartTls) else { return };
    let mut one = courier(postfix.settings());
    let everybody = ["gone@example.test", "ann@example.test", "busy@example.test"];
    let accepted = send(&mut one, &letter_to("for some", &everybody)).0.unwrap();
    let [gone, busy] = accepted.refused.try_into().unwrap();
    assert!(gone.reply.starts_with("550 5.1.1") && !gone.is_temporary(), "{gone}");
    assert!(busy.reply.starts_with("450 4.2.1") && busy.is_temporary(), "{busy}");

    let error = send(&mut one, &letter_to("for nobody", &["gone@example.test"])).0.unwrap_err();
    assert_eq!((error.failure, error.next_step()), (DeliveryFailure::RecipientsRefused, NextStep::Fail), "{error}");
    let error = send(&mut one, &letter_to("for later", &["busy@example.test"])).0.unwrap_err();
    assert_eq!((error.failure, error.next_step()), (DeliveryFailure::RecipientsRefused, NextStep::Retry), "{error}");
    let mut large = letter("large");
    large.bytes.extend("and so on\r\n".repeat(20_000).into_bytes());
    let error = send(&mut one, &large).0.unwrap_err();
    assert_eq!((error.failure, error.next_step()), (DeliveryFailure::TooLarge, NextStep::Fail), "{error}");
    assert!(error.to_string().contains("552 5.3.4"), "{error}");
    let mut foreign = letter("foreign");
    let other =
        lettre::address::Envelope::new(Some("boss@example.test".parse().unwrap()), foreign.envelope.to().to_vec());
    foreign.envelope = other.unwrap();
    let error = send(&mut one, &foreign).0.unwrap_err();
    assert_eq!((error.failure, error.next_step()), (DeliveryFailure::SenderRefused, NextStep::Hold), "{error}");
    send(&mut one, &letter("after all of that")).0.unwrap();
    drop(one);
    assert_eq!(postfix.mails(4).len(), 4, "one for ann of the first, three of the last");

    let wrong = MailSettings { sign_in: SignIn::Password("guess".into()), ..postfix.settings() };
    let error = send(&mut courier(wrong), &letter("wrong")).0.unwrap_err();
    assert_eq!((error.failure, error.next_step()), (DeliveryFailure::WrongCredentials, NextStep::Hold), "{error}");
    let unknown = MailSettings { ca: None, ..postfix.settings() };
    let error = send(&mut courier(unknown), &letter("untrusted")).0.unwrap_err();
    assert_eq!((error.failure, error.next_step()), (DeliveryFailure::Certificate, NextStep::Retry), "{error}");
    let wrong_way = MailSettings { tls: MailTls::Implicit, ..postfix.settings() };
    let error = send(&mut courier(wrong_way), &letter("wrong way")).0.unwrap_err();
    assert_eq!(error.failure, DeliveryFailure::Tls, "{error}");
}

#[test]
fn postfix_takes_letters_under_tls_from_the_first_byte() {
    let Some(postfix) = Postfix::start(Ports::Implicit) else { return };
    let settings = MailSettings { tls: MailTls::Implicit, ..postfix.settings() };
    send(&mut courier(settings), &letter_to("wrapped", &["ann@example.test"])).0.unwrap();
    let mails = postfix.mails(1);
    assert_eq!(MessageParser::default().parse(&mails[0]).unwrap().subject(), Some("wrapped"));
}
