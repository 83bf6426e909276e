/** Scripts that a shell reads once: each asks this program what fits, so that they never grow old. */
import type { Shell } from "./candidates.ts";

/** One word for a POSIX shell. */
function word(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** One word for fish, which knows two escapes inside quotes. */
function fishWord(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}

function bash(command: readonly string[]): string {
  return `# Completion of trace for bash. Install: eval "$(trace completion bash)" in ~/.bashrc
_trace() {
  local line first=1
  COMPREPLY=()
  # The words up to the cursor; the program answers with a line for each that fits.
  while IFS= read -r line; do
    if [[ $first == 1 && $line == :file ]]; then
      compopt -o filenames 2>/dev/null
      while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -f -- "\${COMP_WORDS[COMP_CWORD]}")
    elif [[ $first == 1 && $line == :folder ]]; then
      compopt -o filenames 2>/dev/null
      while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -d -- "\${COMP_WORDS[COMP_CWORD]}")
    elif [[ -n $line ]]; then
      COMPREPLY+=("$(printf '%q' "\${line%%$'\\t'*}")")
    fi
    first=0
  done < <(${command.map(word).join(" ")} __complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _trace trace
`;
}

function zsh(command: readonly string[]): string {
  return `#compdef trace
# Completion of trace for zsh. Install: eval "$(trace completion zsh)" in ~/.zshrc, after compinit
_trace() {
  local line value note
  local -a fitting
  local first=1 paths=''
  while IFS= read -r line; do
    if [[ $first == 1 && $line == :* ]]; then
      paths=$line
    elif [[ -n $line ]]; then
      value=\${line%%$'\\t'*}
      note=\${line#*$'\\t'}
      [[ $note == $line ]] && note=''
      fitting+=("\${value//:/\\\\:}\${note:+:$note}")
    fi
    first=0
  done < <(${command.map(word).join(" ")} __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)
  [[ $paths == :file ]] && _files
  [[ $paths == :folder ]] && _files -/
  (( \${#fitting} )) && _describe 'trace' fitting
}
compdef _trace trace
`;
}

function fish(command: readonly string[]): string {
  return `# Completion of trace for fish. Install: trace completion fish | source, in ~/.config/fish/config.fish
function __trace_complete
  set -l words (commandline -opc) (commandline -ct)
  for line in (${command.map(fishWord).join(" ")} __complete -- $words[2..-1] 2>/dev/null)
    switch $line
      case ':file'
        __fish_complete_path (commandline -ct)
      case ':folder'
        __fish_complete_directories (commandline -ct)
      case '*'
        echo $line
    end
  end
end
complete -c trace -f -a '(__trace_complete)'
`;
}

/** `command` is what runs this program: an alias is not known inside a shell's functions. */
export function completionScript(shell: Shell, command: readonly string[]): string {
  return { bash, zsh, fish }[shell](command);
}
