//! A config while its statements are read, one by one.

use super::ciphers::Ciphers;
use super::config::Accepted;
use super::digest::digest;
use super::directive::{self, Part, Reading, Rule};
use super::fingerprint::Fingerprints;
use super::hints::DnsHints;
use super::lexer::Statement;
use super::login::{self, Login, StaticChallenge};
use super::material::{self, Material};
use super::remote::Remotes;
use super::setting::Settings;
use super::taken::{self, Refusal, Taken, Verdict};
use super::value::{Parameters, Value};
use crate::catalog::model::OnHooks;
use crate::fault::{Finding, Report};
use crate::hook::{self, Fate};
use crate::suggest::did_you_mean;

/// What has been read so far.
#[derive(Default)]
pub(super) struct Draft {
    /// What becomes of commands.
    on_hooks: OnHooks,
    pub accepted: Vec<Accepted>,
    pub remotes: Remotes,
    pub settings: Settings,
    pub ciphers: Ciphers,
    pub material: Material,
    /// Parts that stand as `[inline]`, with their lines.
    pub announced: Vec<(Part, u32)>,
    pub fingerprints: Fingerprints,
    /// It says that it is a client's.
    pub client: bool,
    pub needs_login: bool,
    pub login: Option<Login>,
    pub challenge: Option<StaticChallenge>,
    pub hints: DnsHints,
    /// A `dev` whose name does not say that it is a tun, with its line.
    pub odd_device: Option<u32>,
    pub tun_by_type: bool,
}

impl Draft {
    /// A config of which nothing has been read.
    pub fn new(on_hooks: OnHooks) -> Self {
        Self { on_hooks, ..Self::default() }
    }

    /// Takes a statement. What becomes of it is reported.
    pub fn take(&mut self, statement: Statement<'_>, report: &mut Report) {
        let statement = without_setenv_opt(statement);
        let Some((name, rule)) = directive::find(&statement.name) else {
            return report.push_fault(|| unknown(&statement));
        };
        let verdict = self.apply(name, rule, &statement, report);
        if let Some(finding) = taken::finding(&verdict, statement.line) {
            report.push(finding.about(&statement.name));
        }
        if let Ok(Taken::Kept | Taken::Noted(_)) = verdict {
            self.accepted.push(Accepted { line: statement.line, directive: statement.name });
        }
    }

    fn apply(
        &mut self,
        name: &'static str,
        rule: Rule,
        statement: &Statement<'_>,
        report: &mut Report,
    ) -> Verdict {
        match rule {
            Rule::Drop(why) => Ok(Taken::Dropped(why.to_owned())),
            Rule::Miss(why) => Ok(Taken::Missed(why.to_owned())),
            Rule::Hook => self.take_hook(statement),
            Rule::Refuse(why) => Err(Refusal::from(why)),
            Rule::Pass(parameters) => self.pass(name, &parameters, statement),
            Rule::Read(reading) if statement.block.is_some() => {
                self.read_block(reading, statement, report)
            }
            Rule::Read(reading) => self.read(reading, statement),
        }
    }

    fn take_hook(&self, statement: &Statement<'_>) -> Verdict {
        match hook::judge(&statement.parameters.join(" "), self.on_hooks) {
            Fate::Moot(why) => Ok(Taken::Dropped(why.to_owned())),
            Fate::Dropped(why) => Ok(Taken::Missed(why.to_owned())),
            Fate::Refused(why) => Err(Refusal::from(why)),
        }
    }

    fn pass(
        &mut self,
        name: &'static str,
        parameters: &Parameters,
        statement: &Statement<'_>,
    ) -> Verdict {
        if statement.block.is_some() {
            return Err(Refusal::from(NO_BLOCK));
        }
        parameters.check(&statement.parameters)?;
        self.set(name, statement.parameters.clone(), statement.line)
    }

    fn set(&mut self, name: &'static str, parameters: Vec<String>, line: u32) -> Verdict {
        let rival = match name {
            "comp-lzo" => self.settings.unset("compress"),
            "compress" => self.settings.unset("comp-lzo"),
            _ => false,
        };
        let replaced = self.settings.set(name, parameters, line)?;
        if replaced || rival {
            return Ok(Taken::Noted("replaces what an earlier line says".to_owned()));
        }
        Ok(Taken::Kept)
    }

    fn read_block(
        &mut self,
        reading: Reading,
        statement: &Statement<'_>,
        report: &mut Report,
    ) -> Verdict {
        let block = statement.block.ok_or(NO_BLOCK)?;
        match reading {
            Reading::Connection => self.remotes.take_block(block, statement.line, report),
            Reading::Material(part) => self.material.take(part, block),
            Reading::VerifyHash => self.fingerprints.take_hash(statement),
            Reading::PeerFingerprint => self.fingerprints.take_peer(statement),
            Reading::Credentials => {
                self.needs_login = true;
                self.login = Some(login::read_login(block)?);
                Ok(Taken::Dropped("taken as a credential".to_owned()))
            }
            Reading::Remote
            | Reading::Proto
            | Reading::Port
            | Reading::Cipher
            | Reading::DataCiphers
            | Reading::DataCiphersFallback
            | Reading::Digest
            | Reading::KeyDirection
            | Reading::Client
            | Reading::Keepalive
            | Reading::NsCertType
            | Reading::TcpNodelay
            | Reading::StaticChallenge
            | Reading::Device
            | Reading::DeviceType
            | Reading::DhcpOption
            | Reading::Dns
            | Reading::Setenv => Err(Refusal::from(NO_BLOCK)),
        }
    }

    fn read(&mut self, reading: Reading, statement: &Statement<'_>) -> Verdict {
        let parameters = statement.parameters.as_slice();
        match reading {
            Reading::Remote => self.remotes.take(statement),
            Reading::Connection => Err(Refusal::from("expected <connection> and </connection>")),
            Reading::Proto => self.remotes.take_transport(parameters),
            Reading::Port => self.remotes.take_port(parameters),
            Reading::Cipher => self.ciphers.take_cipher(one(parameters)?),
            Reading::DataCiphers => self.ciphers.take_offered(one(parameters)?),
            Reading::DataCiphersFallback => self.ciphers.take_fallback(one(parameters)?),
            Reading::Digest => {
                let name = digest(one(parameters)?)?;
                self.set("auth", vec![name.to_owned()], statement.line)
            }
            Reading::Material(part) => self.take_reference(part, statement),
            Reading::KeyDirection => self.material.take_direction(one(parameters)?),
            Reading::VerifyHash => self.fingerprints.take_hash(statement),
            Reading::PeerFingerprint => self.fingerprints.take_peer(statement),
            Reading::Client => self.take_client(parameters),
            Reading::Keepalive => self.take_keepalive(statement),
            Reading::NsCertType => self.take_ns_cert_type(statement),
            Reading::TcpNodelay => self.take_nodelay(statement),
            Reading::StaticChallenge => {
                self.challenge = Some(login::read_challenge(parameters)?);
                Ok(Taken::Kept)
            }
            Reading::Credentials => {
                self.needs_login = true;
                login::dropped(parameters)
            }
            Reading::Device => self.take_device(statement),
            Reading::DeviceType => self.take_device_type(parameters),
            Reading::DhcpOption => Ok(self.hints.take_dhcp_option(parameters)),
            Reading::Dns => Ok(self.hints.take_dns(parameters)),
            Reading::Setenv => take_setenv(parameters),
        }
    }

    fn take_reference(&mut self, part: Part, statement: &Statement<'_>) -> Verdict {
        let verdict = self.material.take_reference(part, &statement.parameters)?;
        self.announced.push((part, statement.line));
        Ok(verdict)
    }

    fn take_client(&mut self, parameters: &[String]) -> Verdict {
        Parameters::NONE.check(parameters)?;
        self.client = true;
        Ok(Taken::Kept)
    }

    /// openvpn refuses it beside `ping` and `ping-restart`, which are what it stands for.
    fn take_keepalive(&mut self, statement: &Statement<'_>) -> Verdict {
        Parameters::of(&[Value::Number(1, 43_200), Value::Number(2, 86_400)])
            .check(&statement.parameters)?;
        for (name, seconds) in ["ping", "ping-restart"].into_iter().zip(&statement.parameters) {
            self.set(name, vec![seconds.clone()], statement.line)?;
        }
        Ok(Taken::Kept)
    }

    /// Netscape's certificate types are gone; today's say the same in another field.
    fn take_ns_cert_type(&mut self, statement: &Statement<'_>) -> Verdict {
        Value::OneOf(&["server"]).check(one(&statement.parameters)?)?;
        self.set("remote-cert-tls", vec!["server".to_owned()], statement.line)?;
        Ok(Taken::Noted("taken as remote-cert-tls server".to_owned()))
    }

    fn take_nodelay(&mut self, statement: &Statement<'_>) -> Verdict {
        Parameters::NONE.check(&statement.parameters)?;
        self.set("socket-flags", vec!["TCP_NODELAY".to_owned()], statement.line)
    }

    fn take_device(&mut self, statement: &Statement<'_>) -> Verdict {
        let is_tun = one(&statement.parameters)?.starts_with("tun");
        self.odd_device = (!is_tun).then_some(statement.line);
        Ok(Taken::Dropped(DEVICE.to_owned()))
    }

    fn take_device_type(&mut self, parameters: &[String]) -> Verdict {
        if one(parameters)? != "tun" {
            return Err(Refusal::from(ONLY_TUN));
        }
        self.tun_by_type = true;
        Ok(Taken::Dropped(DEVICE.to_owned()))
    }

    /// Reports what only the whole text can tell of single lines.
    pub fn check_lines(&self, report: &mut Report) {
        if let Some(line) = self.odd_device.filter(|_| !self.tun_by_type) {
            report.push(Finding::fault(ONLY_TUN).at_line(line).about("dev"));
        }
        for (part, line) in &self.announced {
            if !self.material.has(*part) {
                let fault = Finding::fault(material::inline_it(*part)).at_line(*line);
                report.push(fault.about(material::tag(*part)));
            }
        }
    }
}

const NO_BLOCK: &str = "it cannot stand between tags";
const DEVICE: &str = "the agent makes the device";
const ONLY_TUN: &str = "only tun devices are supported: the server must offer one";

/// `setenv opt X` is X: openvpn only warns of it where it would refuse X.
fn without_setenv_opt(mut statement: Statement<'_>) -> Statement<'_> {
    while statement.name == "setenv"
        && statement.parameters.len() > 1
        && statement.parameters[0] == "opt"
    {
        statement.parameters.remove(0);
        statement.name = statement.parameters.remove(0);
    }
    statement
}

fn take_setenv(parameters: &[String]) -> Verdict {
    match parameters.first().map(String::as_str) {
        Some("GENERIC_CONFIG") => {
            Err(Refusal::from("this is a template: download the config of a user or a server"))
        }
        Some("opt") => Err(Refusal::from("it names no directive")),
        Some(_) | None => Ok(Taken::Dropped("no config sets the environment".to_owned())),
    }
}

fn one(parameters: &[String]) -> Result<&str, Refusal> {
    match parameters {
        [parameter] => Ok(parameter),
        _ => Err(Refusal::from("expected one parameter")),
    }
}

fn unknown(statement: &Statement<'_>) -> Finding {
    let hint = did_you_mean(&statement.name, directive::known());
    let fault = Finding::fault(format!("unknown directive.{hint}")).at_line(statement.line);
    if may_be_repeated(&statement.name) { fault.about(statement.name.clone()) } else { fault }
}

/// Whether a text is a word rather than a secret that stands where a directive should: those are
/// longer or have capitals.
fn may_be_repeated(text: &str) -> bool {
    let most = if text.bytes().any(|b| b.is_ascii_digit()) { 16 } else { 32 };
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=most).contains(&text.len())
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(allowed)
}
