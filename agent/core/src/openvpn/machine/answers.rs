//! What openvpn is answered when it asks who we are.

use crate::api::{Code, Reason};
use crate::openvpn::config::OpenvpnConfig;
use crate::openvpn::login::Login;
use crate::openvpn::management::{
    Challenge, Command, DynamicChallenge, Need, Wanted, dynamic_answer, static_answer,
};
use crate::secret::Secret;

/// The longest name or password that openvpn takes by its management interface, in bytes.
const ANSWER_MAX: usize = 256;

/// Who we are: name and password, the answer to a challenge, a token that a server gave.
#[derive(Debug)]
pub(super) struct Answers {
    login: Option<Login>,
    /// An answer is good once: it is gone when it was sent to a server.
    challenge: Option<Secret<String>>,
    /// What a server asked after the password.
    asked: Option<DynamicChallenge>,
    token: Option<Secret<String>>,
    /// What the last answer was.
    sent: Sent,
}

/// What stood where the password stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    Nothing,
    Password,
    /// With the answer to a challenge.
    Challenge,
    Token,
}

impl Login {
    /// Whether openvpn can be given it when it asks. A longer one stands in its config.
    pub fn is_answer(&self) -> bool {
        self.username.len() <= ANSWER_MAX && self.password.expose().len() <= ANSWER_MAX
    }
}

impl Answers {
    pub fn new(login: Option<Login>, challenge: Option<Secret<String>>) -> Self {
        Self { login, challenge, asked: None, token: None, sent: Sent::Nothing }
    }

    /// Whether there is all that openvpn will ask for by this config.
    pub fn suffice(&self, config: &OpenvpnConfig) -> Result<(), Reason> {
        if config.needs_login && self.login.is_none() {
            return Err(invalid("the server wants a name and a password: the credential has none"));
        }
        if let Some(challenge) = &config.challenge
            && self.challenge.is_none()
        {
            return Err(challenge_required(&challenge.text));
        }
        Ok(())
    }

    /// The commands that answer, or why there is no answer.
    pub fn answer(&mut self, need: &Need) -> Result<Vec<Command>, Reason> {
        match need.kind.as_str() {
            "Auth" => self.authenticate(need),
            "Private Key" => Err(invalid("the private key in the config has a password")),
            kind => Err(invalid(&format!("openvpn asks for the password of {kind}"))),
        }
    }

    fn authenticate(&mut self, need: &Need) -> Result<Vec<Command>, Reason> {
        let Some(login) = &self.login else {
            return Err(invalid("the server wants a name and a password: the credential has none"));
        };
        let (username, password, sent) = match (&self.asked, &self.token, &need.challenge) {
            (Some(asked), _, _) => {
                let answer =
                    self.challenge.as_ref().ok_or_else(|| challenge_required(&asked.text))?;
                (asked.username.clone(), dynamic_answer(asked, answer), Sent::Challenge)
            }
            (None, Some(token), _) => (login.username.clone(), token.clone(), Sent::Token),
            (None, None, Some(challenge)) => {
                let password = self.challenged(login, challenge)?;
                (login.username.clone(), password, Sent::Challenge)
            }
            (None, None, None) => (login.username.clone(), login.password.clone(), Sent::Password),
        };
        if username.len() > ANSWER_MAX || password.expose().len() > ANSWER_MAX {
            return Err(invalid("name or password is too long to be given to openvpn"));
        }
        self.sent = sent;
        let kind = || need.kind.clone();
        let username = Command::Username { kind: kind(), value: username };
        let password = Command::Password { kind: kind(), value: password };
        Ok(match need.wanted {
            Wanted::UsernameAndPassword => vec![username, password],
            Wanted::Username => vec![username],
            Wanted::Password => vec![password],
        })
    }

    fn challenged(&self, login: &Login, challenge: &Challenge) -> Result<Secret<String>, Reason> {
        let answer = self.challenge.as_ref().ok_or_else(|| challenge_required(&challenge.text))?;
        if challenge.joined {
            let mut joined = String::with_capacity(2 * ANSWER_MAX);
            joined.push_str(login.password.expose());
            joined.push_str(answer.expose());
            return Ok(Secret::new(joined));
        }
        Ok(static_answer(&login.password, answer))
    }

    /// What a server that waits for it is answered.
    pub fn answer_now(&mut self, text: &str) -> Result<Command, Reason> {
        let answer = self.challenge.take().ok_or_else(|| challenge_required(text))?;
        Ok(Command::ChallengeAnswer(answer))
    }

    /// The server has read what was sent.
    pub fn were_heard(&mut self) {
        if self.sent == Sent::Challenge {
            self.challenge = None;
            self.asked = None;
        }
    }

    /// The server wants this from now on in place of the password.
    pub fn take_token(&mut self, token: Secret<String>) {
        self.token = Some(token);
    }

    /// What was sent is not taken. Whether it was a token, in place of which the password may be
    /// tried.
    pub fn drop_token(&mut self, openvpns_own: bool) -> bool {
        let had = self.token.take().is_some();
        openvpns_own || (had && self.sent == Sent::Token)
    }

    /// The server asks something. Whether it can be answered with the next connect.
    pub fn take_question(&mut self, asked: DynamicChallenge) -> Result<(), Reason> {
        if self.challenge.is_none() || !asked.answer_expected {
            return Err(challenge_required(&asked.text));
        }
        self.asked = Some(asked);
        Ok(())
    }
}

pub(super) fn challenge_required(text: &str) -> Reason {
    let text = super::attempt::shortened(text);
    let detail = format!("the server asks: {text}; attach again with challenge_response");
    Reason { code: Code::ChallengeRequired, detail }
}

fn invalid(detail: &str) -> Reason {
    Reason { code: Code::ConfigInvalid, detail: detail.to_owned() }
}
