//! One line of openvpn's, read.

use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nom::branch::alt;
use nom::bytes::complete::{tag, take_till, take_until, take_while1};
use nom::character::complete::{char, u8, u16, u32, u64};
use nom::combinator::{all_consuming, map, map_opt, opt, rest, value, verify};
use nom::sequence::{delimited, preceded, separated_pair, terminated};
use nom::{IResult, Parser};

use super::message::{
    Challenge, DynamicChallenge, Entry, InfoMessage, Message, Need, Rejection, State, StateName,
    Wanted,
};
use crate::openvpn::remote::Transport;
use crate::secret::Secret;

/// A line, or a part of the block that `>UPDOWN:` begins.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    Message(Message),
    Up,
    Down,
    Variable { name: String, value: String },
    EndOfVariables,
}

/// Reads a line without its end. Only what stands at its beginning says what it is: log lines
/// repeat other lines.
pub(super) fn read(line: &str) -> Line {
    if let Ok((_, (source, payload))) = notification(line) {
        return match source {
            "UPDOWN" => updown(payload).unwrap_or_else(|| Line::Message(malformed(source))),
            _ => Line::Message(message(source, payload)),
        };
    }
    Line::Message(reply(line))
}

fn notification(line: &str) -> IResult<&str, (&str, &str)> {
    let word =
        take_while1(|c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || "-_".contains(c));
    preceded(char('>'), separated_pair(word, char(':'), rest)).parse(line)
}

fn reply(line: &str) -> Message {
    if let Some(text) = line.strip_prefix("SUCCESS: ") {
        return Message::Success(clean(text));
    }
    if let Some(text) = line.strip_prefix("ERROR: ") {
        return Message::Error(Secret::new(text.to_owned()));
    }
    match line {
        "END" => Message::End,
        _ => Message::Text(clean(line)),
    }
}

fn updown(payload: &str) -> Option<Line> {
    match payload {
        "UP" => return Some(Line::Up),
        "DOWN" => return Some(Line::Down),
        "ENV,END" => return Some(Line::EndOfVariables),
        _ => {}
    }
    let (name, value) = payload.strip_prefix("ENV,")?.split_once('=')?;
    Some(Line::Variable { name: clean(name), value: clean(value) })
}

fn message(source: &str, payload: &str) -> Message {
    let read = match source {
        "INFO" => Some(Message::Info(clean(payload))),
        "FATAL" => Some(Message::Fatal(clean(payload))),
        "PROXY" => Some(Message::ProxyQuery),
        "PK_SIGN" | "RSA_SIGN" => Some(Message::SignQuery),
        "NEED-CERTIFICATE" => Some(Message::CertificateQuery),
        "PKCS11ID-COUNT" | "PKCS11ID-ENTRY" => Some(Message::Text(clean(payload))),
        "HOLD" => whole(hold, payload),
        "PASSWORD" => whole(password, payload),
        "STATE" => whole(state, payload),
        "BYTECOUNT" => whole(byte_count, payload),
        "LOG" => whole(log, payload),
        "ECHO" => whole(echo, payload),
        "REMOTE" => whole(remote, payload),
        "NEED-OK" => whole(need_ok, payload),
        "NEED-STR" => whole(need_text, payload),
        "INFOMSG" => whole(info_message, payload),
        "NOTIFY" => whole(notify, payload),
        _ => Some(Message::Unknown { source: source.to_owned() }),
    };
    read.unwrap_or_else(|| malformed(source))
}

fn malformed(source: &str) -> Message {
    Message::Malformed { source: source.to_owned() }
}

fn whole(reader: fn(&str) -> IResult<&str, Message>, payload: &str) -> Option<Message> {
    all_consuming(reader).parse(payload).ok().map(|(_, message)| message)
}

fn hold(payload: &str) -> IResult<&str, Message> {
    let seconds = preceded(tag("Waiting for hold release"), opt(preceded(char(':'), u32)));
    map(seconds, |wait_s| Message::Hold { wait_s: wait_s.unwrap_or(0) }).parse(payload)
}

fn password(payload: &str) -> IResult<&str, Message> {
    let token = map(preceded(tag("Auth-Token:"), rest), |token: &str| {
        Message::AuthToken(Secret::new(token.to_owned()))
    });
    alt((map(need, Message::Need), rejected, token)).parse(payload)
}

fn need(payload: &str) -> IResult<&str, Need> {
    let wanted = alt((
        marked(Wanted::UsernameAndPassword, "' username/password"),
        marked(Wanted::Username, "' username"),
        marked(Wanted::Password, "' password"),
    ));
    map((preceded(tag("Need '"), wanted), opt(challenge)), |((kind, wanted), challenge)| Need {
        kind: clean(kind),
        wanted,
        challenge,
    })
    .parse(payload)
}

/// A text up to a mark that says what is wanted.
fn marked<'a>(
    wanted: Wanted,
    mark: &'static str,
) -> impl Parser<&'a str, Output = (&'a str, Wanted), Error = nom::error::Error<&'a str>> {
    (take_until(mark), value(wanted, tag(mark)))
}

fn challenge(payload: &str) -> IResult<&str, Challenge> {
    let parts = (preceded(tag(" SC:"), u8), preceded(char(','), rest));
    map(parts, |(flags, text)| Challenge {
        echo: flags & 1 != 0,
        joined: flags & 2 != 0,
        text: clean(text),
    })
    .parse(payload)
}

/// The reason is the server's text as it came, quotes and brackets in it and all: it ends where the
/// line does.
fn rejected(payload: &str) -> IResult<&str, Message> {
    let kind = delimited(tag("Verification Failed: '"), take_until("'"), char('\''));
    map((kind, rest), |(kind, behind): (&str, &str)| {
        let why = behind.strip_prefix(" ['").and_then(|text| text.strip_suffix("']"));
        Message::Rejected { kind: clean(kind), why: why.map(rejection) }
    })
    .parse(payload)
}

fn rejection(text: &str) -> Rejection {
    if let Some(challenge) = dynamic_challenge(text) {
        return Rejection::Challenge(challenge);
    }
    let temporary = alt((
        tag("TEMP:"),
        terminated(delimited(tag("TEMP["), take_until("]"), tag("]")), char(':')),
    ));
    let read: IResult<&str, &str> = preceded(temporary, rest).parse(text);
    match read {
        Ok((_, text)) => Rejection::Temporary(clean(text)),
        Err(_) => Rejection::Text(clean(text)),
    }
}

/// `CRV1:FLAGS:STATE:USERNAME:TEXT`, the name in base64.
fn dynamic_challenge(text: &str) -> Option<DynamicChallenge> {
    let mut parts = text.strip_prefix("CRV1:")?.splitn(4, ':');
    let (flags, state) = (parts.next()?, parts.next()?);
    let username = STANDARD.decode(parts.next()?).ok()?;
    Some(DynamicChallenge {
        answer_expected: has_flag(flags, "R"),
        echo: has_flag(flags, "E"),
        state: Secret::new(state.to_owned()),
        username: clean(&String::from_utf8_lossy(&username)),
        text: clean(parts.next()?),
    })
}

fn has_flag(flags: &str, flag: &str) -> bool {
    flags.split(',').any(|one| one == flag)
}

/// `TIME,NAME,DETAIL,TUN4,REMOTE,PORT,LOCAL,PORT[,TUN6]`; what is not known is empty.
fn state(payload: &str) -> IResult<&str, Message> {
    let named = verify(field, |name: &str| !name.is_empty());
    let fields = (u64, preceded(char(','), named), rest);
    map(fields, |(since, name, behind): (u64, &str, &str)| {
        let fields: Vec<&str> = behind.split(',').skip(1).collect();
        Message::State(State {
            since,
            name: StateName::named(&clean(name)),
            detail: clean(fields.first().unwrap_or(&"")),
            tunnel_v4: parsed(&fields, 1),
            remote: parsed(&fields, 2),
            remote_port: parsed(&fields, 3),
            tunnel_v6: parsed(&fields, 6),
        })
    })
    .parse(payload)
}

fn field(text: &str) -> IResult<&str, &str> {
    take_till(|c| c == ',').parse(text)
}

fn parsed<T: FromStr>(fields: &[&str], index: usize) -> Option<T> {
    fields.get(index)?.parse().ok()
}

fn byte_count(payload: &str) -> IResult<&str, Message> {
    map(separated_pair(u64, char(','), u64), |(received, sent)| Message::ByteCount {
        received,
        sent,
    })
    .parse(payload)
}

fn log(payload: &str) -> IResult<&str, Message> {
    let parts = (u64, delimited(char(','), field, char(',')), rest);
    map(parts, |(time, flags, text): (u64, &str, &str)| {
        Message::Log(Entry { time, flags: clean(flags), text: clean(text) })
    })
    .parse(payload)
}

fn echo(payload: &str) -> IResult<&str, Message> {
    map(separated_pair(u64, char(','), rest), |(time, text): (u64, &str)| {
        Message::Echo(Entry { time, flags: String::new(), text: clean(text) })
    })
    .parse(payload)
}

fn remote(payload: &str) -> IResult<&str, Message> {
    let port = map_opt(u16, std::num::NonZeroU16::new);
    let parts = (
        terminated(field, char(',')),
        terminated(port, char(',')),
        map_opt(rest, Transport::named),
    );
    map(parts, |(host, port, transport)| Message::RemoteQuery {
        host: clean(host),
        port,
        transport,
    })
    .parse(payload)
}

fn need_ok(payload: &str) -> IResult<&str, Message> {
    let parts = (
        preceded(tag("Need '"), take_until("' confirmation MSG:")),
        preceded(tag("' confirmation MSG:"), rest),
    );
    map(parts, |(name, text)| Message::NeedOk { name: clean(name), text: clean(text) })
        .parse(payload)
}

/// The documentation says `input` where openvpn 2.6 says `string`.
fn need_text(payload: &str) -> IResult<&str, Message> {
    let question =
        |mark: &'static str| (preceded(tag("Need '"), take_until(mark)), preceded(tag(mark), rest));
    map(alt((question("' string MSG:"), question("' input MSG:"))), |(name, text)| {
        Message::NeedText { name: clean(name), text: clean(text) }
    })
    .parse(payload)
}

fn info_message(payload: &str) -> IResult<&str, Message> {
    let flags = || terminated(take_till(|c| c == ':'), char(':'));
    let challenge =
        map((preceded(tag("CR_TEXT:"), flags()), rest), |(flags, text): (&str, &str)| {
            InfoMessage::Challenge {
                answer_expected: has_flag(flags, "R"),
                echo: has_flag(flags, "E"),
                text: clean(text),
            }
        });
    let web = preceded((tag("WEB_AUTH:"), flags()), rest);
    let page = map(alt((web, preceded(tag("OPEN_URL:"), rest))), |address: &str| {
        InfoMessage::Page(Secret::new(clean(address)))
    });
    let other = map(rest, |text: &str| InfoMessage::Other(clean(text)));
    map(alt((challenge, page, other)), Message::InfoMessage).parse(payload)
}

fn notify(payload: &str) -> IResult<&str, Message> {
    let parts = (terminated(field, char(',')), terminated(field, char(',')), rest);
    map(parts, |(severity, kind, text): (&str, &str, &str)| Message::Notify {
        severity: clean(severity),
        kind: clean(kind),
        text: clean(text),
    })
    .parse(payload)
}

/// Servers write part of these texts, and people read them on terminals.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
