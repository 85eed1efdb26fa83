//! A name and a password, from a file or from whoever sits at the terminal; never from arguments.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;

use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::terminal;
use egress_core::openvpn::Login;
use egress_core::secret::Secret;

use super::failure::Failure;
use crate::catalog::reading;

/// What a server is told: two lines of a file that is its owner's alone, of standard input for
/// `-`, or what is typed at a terminal.
pub fn login(file: Option<&Path>) -> Result<Login, Failure> {
    let failed = |source| Failure::system("read the name and the password", source);
    match file {
        Some(file) if file == Path::new("-") => {
            let mut lines = io::stdin().lock().lines();
            let mut next = || lines.next().transpose().map(Option::unwrap_or_default);
            let (username, password) = (next().map_err(failed)?, next().map_err(failed)?);
            whole(&username, password)
        }
        Some(file) => {
            let text = reading::read_secret(file)
                .map_err(|why| Failure::Usage(format!("--login {}: {why}", file.display())))?;
            let mut lines = text.expose().lines();
            let username = lines.next().unwrap_or_default();
            whole(username, lines.next().unwrap_or_default().to_owned())
        }
        None if io::stdin().is_terminal() => prompt().map_err(failed),
        None => Err(Failure::Usage(
            "the server wants a name and a password: give a file of these two lines with --login"
                .to_owned(),
        )),
    }
}

fn whole(username: &str, password: String) -> Result<Login, Failure> {
    if username.is_empty() || password.is_empty() {
        let why = "--login: expected a line with a name and one with a password";
        return Err(Failure::Usage(why.to_owned()));
    }
    Ok(Login { username: username.to_owned(), password: Secret::new(password) })
}

fn prompt() -> io::Result<Login> {
    say("Username: ")?;
    let mut username = String::new();
    io::stdin().lock().read_line(&mut username)?;
    say("Password: ")?;
    terminal::enable_raw_mode()?;
    let password = typed(std::iter::from_fn(|| Some(event::read())));
    terminal::disable_raw_mode()?;
    say("\n")?;
    Ok(Login { username: username.trim().to_owned(), password: Secret::new(password?) })
}

/// What is typed until Enter, unseen.
fn typed(events: impl Iterator<Item = io::Result<Event>>) -> io::Result<String> {
    let mut text = String::new();
    for event in events {
        let Event::Key(key) = event? else { continue };
        if key.kind == KeyEventKind::Release {
            continue;
        }
        match key {
            KeyEvent {
                code: KeyCode::Char('c' | 'd'), modifiers: KeyModifiers::CONTROL, ..
            } => {
                return Err(io::ErrorKind::Interrupted.into());
            }
            KeyEvent { code: KeyCode::Char(letter), .. } => text.push(letter),
            KeyEvent { code: KeyCode::Backspace, .. } => drop(text.pop()),
            KeyEvent { code: KeyCode::Enter, .. } => return Ok(text),
            _ => {}
        }
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

fn say(text: &str) -> io::Result<()> {
    let mut out = io::stderr().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn keys(codes: &[(KeyCode, KeyModifiers)]) -> io::Result<String> {
        let press =
            |(code, held): &(KeyCode, KeyModifiers)| Ok(Event::Key(KeyEvent::new(*code, *held)));
        typed(codes.iter().map(press))
    }

    #[test]
    fn a_password_is_typed_until_enter_and_can_be_given_up() {
        let plain = |code| (code, KeyModifiers::NONE);
        let (a, b) = (plain(KeyCode::Char('a')), (KeyCode::Char('B'), KeyModifiers::SHIFT));
        let enter = plain(KeyCode::Enter);
        assert_eq!(keys(&[a, a, plain(KeyCode::Backspace), b, enter, a]).unwrap(), "aB");
        assert!(keys(&[a, (KeyCode::Char('c'), KeyModifiers::CONTROL), enter]).is_err());
        assert!(keys(&[a]).is_err());
    }

    #[test]
    fn a_login_file_has_two_lines_and_is_its_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("login");
        let put = |text: &str, mode| {
            fs::write(&file, text).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            login(Some(&file))
        };
        let read = put("ann\ncorrect horse\r\n", 0o600).unwrap();
        assert_eq!(
            (read.username.as_str(), read.password.expose().as_str()),
            ("ann", "correct horse")
        );
        assert!(put("ann\n", 0o600).is_err());
        let shared = put("ann\ncanary\n", 0o644).unwrap_err().text();
        assert!(shared.contains("chmod 600") && !shared.contains("canary"), "{shared}");
    }
}
