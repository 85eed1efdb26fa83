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
