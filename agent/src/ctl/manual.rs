//! Completion scripts and manual pages, made from the command line's own description.

use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use super::arguments::Arguments;
use super::failure::Failure;
use super::screen::Screen;

pub fn completions(shell: Shell, screen: Screen) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "egressctl", &mut script);
    screen.print(&String::from_utf8_lossy(&script))
}

pub fn pages(dir: Option<&Path>, screen: Screen) -> Result<(), Failure> {
    let failed = |source| Failure::system("write the manual pages", source);
    let command = Arguments::command();
    if let Some(dir) = dir {
        return clap_mangen::generate_to(command, dir).map_err(failed);
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page).map_err(failed)?;
    screen.print(&String::from_utf8_lossy(&page))
}

#[cfg(test)]
mod tests {
    use clap::{Command, ValueEnum};

    use super::*;

    /// Every command that a person may call, as `egressctl session show`.
    fn commands(command: &Command, path: &str, found: &mut Vec<String>) {
        for inner in command.get_subcommands().filter(|it| !it.is_hide_set()) {
            let path = format!("{path} {}", inner.get_name());
            commands(inner, &path, found);
            found.push(path);
        }
    }

    fn all() -> Vec<String> {
        let mut found = Vec::new();
        commands(&Arguments::command(), "egressctl", &mut found);
        assert!(found.contains(&"egressctl session show".to_owned()), "{found:?}");
        found
    }

    #[test]
    fn every_command_has_a_manual_page_that_names_its_options() {
        let dir = tempfile::tempdir().unwrap();
        let screen = Screen::new(super::super::arguments::Output::Table);
        pages(Some(dir.path()), screen).unwrap();
        for command in all() {
            let page = dir.path().join(command.replace(' ', "-") + ".1");
            let page = std::fs::read_to_string(&page).expect("every command has a page");
            assert!(page.contains("output"), "{command} takes no --output");
        }
        let import = std::fs::read_to_string(dir.path().join("egressctl-import.1")).unwrap();
        assert!(import.contains("\\-\\-owner"), "{import}");
    }

    #[test]
    fn every_shell_completes_every_command() {
        for shell in Shell::value_variants() {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Arguments::command(), "egressctl", &mut script);
            let script = String::from_utf8(script).unwrap();
            for command in all() {
                let name = command.rsplit(' ').next().unwrap();
                assert!(script.contains(name), "{shell} does not know {command}");
            }
        }
    }
}
