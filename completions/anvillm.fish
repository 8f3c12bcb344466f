# Completion of AnviLLM's commands for fish. Put this file into ~/.config/fish/conf.d/.
# Files of the tree, sessions and skills are asked for when Tab is pressed; where no daemon runs there are none.

function __anvillm_sessions
    anvil9p read agent/list 2>/dev/null | awk -F '\t' '{ print $1 "\t" $3; if ($2 != "-") print $2 "\t" $3 " " $1 }'
end

# The files of the tree below the directory that is typed; directories with a slash, aliases at the top.
function __anvillm_tree
    set -l word (commandline -ct)
    if not string match -q 'agent/*' -- $word
        echo agent/
        return
    end
    set -l directory (string replace -r '/[^/]*$' '' -- $word)
    anvil9p ls -l $directory 2>/dev/null | awk -v top=$directory/ '{ print top $NF (/^d/ ? "/" : "") }'
    if test $directory = agent
        anvil9p read agent/list 2>/dev/null | awk -F '\t' '$2 != "-" { print "agent/" $2 "/\t" $3 }'
    end
end

function __anvillm_policies
    set -l top $XDG_CONFIG_HOME
    test -n "$top"; or set top ~/.config
    for file in $top/anvillm/$argv[1]/*.yaml
        basename $file .yaml
    end
end

for command in anvilsrv anvil-sandbox anvillm anvilweb anvilmcp anvillm-skills anvillm-notify 9p-read-inbox Alog
    complete -c $command -f
    complete -c $command -l help -d 'Say the usage'
    complete -c $command -f -l version -d 'Say the version'
end

complete -c anvilsrv -n __fish_use_subcommand -a start -d 'In the background'
complete -c anvilsrv -n __fish_use_subcommand -a fgstart -d 'In the foreground'
complete -c anvilsrv -n __fish_use_subcommand -a stop -d 'Agents end, sessions stay'
complete -c anvilsrv -n __fish_use_subcommand -a restart -d 'Replace the daemon, agents run on'
complete -c anvilsrv -n __fish_use_subcommand -a status -d 'Whether it runs, and its sessions'
complete -c anvilsrv -n __fish_use_subcommand -a doctor -d 'What is here, and what to do'
complete -c anvilsrv -n __fish_use_subcommand -a export -d '9P on standard input and output'
complete -c anvilsrv -n __fish_use_subcommand -a login -d 'To a backend, once for all its sessions'
complete -c anvilsrv -n __fish_use_subcommand -a ls -d 'The sessions'
complete -c anvilsrv -n __fish_use_subcommand -a ask -d 'Prompt a session and print the answer'
complete -c anvilsrv -n __fish_use_subcommand -a run -d 'A session for one prompt'
complete -c anvilsrv -n __fish_use_subcommand -a attach -d "An agent's own terminal"
complete -c anvilsrv -n __fish_use_subcommand -a workflows -d 'Scripts that start several agents'
complete -c anvilsrv -n '__fish_seen_subcommand_from status' -l short -d 'One line for a status bar'
complete -c anvilsrv -n '__fish_seen_subcommand_from ask attach ls' -a '(__anvillm_sessions)'
complete -c anvilsrv -n '__fish_seen_subcommand_from run login' -a '(anvil9p read agent/backends 2>/dev/null | cut -f 1,2)'
complete -c anvilsrv -n '__fish_seen_subcommand_from run' -s r -l role -r -a '(__anvillm_policies roles)' -d 'Its role'
complete -c anvilsrv -n '__fish_seen_subcommand_from run' -s t -l tasks -r -a '(__anvillm_policies tasks)' -d 'Its tasks'
complete -c anvilsrv -n '__fish_seen_subcommand_from login' -l from -d 'Take this file of a login' -r -F
complete -c anvilsrv -n '__fish_seen_subcommand_from fgstart' -s D -d 'Print each 9P message'

for command in anvil9p 9p
    complete -c $command -f -n __fish_use_subcommand -a 'read readfd write writefd stat rdwr ls rm create con'
    complete -c $command -f -n 'not __fish_use_subcommand' -a '(__anvillm_tree)'
end

complete -c anvil-sandbox -n __fish_use_subcommand -a check -d 'Show what this kernel gives'
complete -c anvil-sandbox -n __fish_use_subcommand -a show -d 'Show the effective policy'
complete -c anvil-sandbox -n __fish_use_subcommand -a run -d 'Run a command in the sandbox'
complete -c anvil-sandbox -n __fish_use_subcommand -a why -d 'Say why a path or port can or cannot be used'
complete -c anvil-sandbox -n __fish_use_subcommand -a trust -d 'Declare a repository yours'
complete -c anvil-sandbox -n __fish_use_subcommand -a setup -d 'Allow the launcher to use user namespaces'
complete -c anvil-sandbox -n '__fish_seen_subcommand_from setup' -l dry-run -d 'Only say what would be done'
set -l policy '__fish_seen_subcommand_from show run why'
complete -c anvil-sandbox -n $policy -x -l backend -a '(anvil9p read agent/backends 2>/dev/null | cut -f 1,2)' -d 'With its layer'
complete -c anvil-sandbox -n $policy -x -l role -a '(__anvillm_policies roles)' -d 'With this role'
complete -c anvil-sandbox -n $policy -x -l task -a '(__anvillm_policies tasks)' -d 'With this task'
complete -c anvil-sandbox -n $policy -x -l cwd -a '(__fish_complete_directories)' -d 'The working directory'
for right in ro rox rw rwx
    complete -c anvil-sandbox -n $policy -r -F -l $right -d 'Grant a path'
end
complete -c anvil-sandbox -n $policy -r -F -l unix -d 'Let in a socket'
complete -c anvil-sandbox -n $policy -x -l host -a '(__fish_print_hostnames)' -d 'Let it reach a host'
complete -c anvil-sandbox -n $policy -x -l connect-tcp -d 'Let it connect to a port'
complete -c anvil-sandbox -n $policy -x -l bind-tcp -d 'Let it serve a port'
complete -c anvil-sandbox -n $policy -l network -d 'Leave the network open'
complete -c anvil-sandbox -n $policy -x -l env -d 'Pass or set a variable'
complete -c anvil-sandbox -n '__fish_seen_subcommand_from run why' -F

for command in anvillm anvilweb
    complete -c $command -x -l ns -a '(__fish_complete_directories)' -d 'The namespace'
end
complete -c anvilweb -x -l addr -d 'Where to listen'
complete -c anvilweb -x -l name -d 'A further host name of the page'
complete -c anvilweb -l unsafe-listen -d 'Where others can reach it'

complete -c anvillm-skills -n __fish_use_subcommand -a 'list load'
complete -c anvillm-skills -n '__fish_seen_subcommand_from load' -a '(anvillm-skills list 2>/dev/null)'

complete -c 9p-read-inbox -s a -l all -d 'All messages'
complete -c 9p-read-inbox -s k -l keep -d 'Leave them in the inbox'
complete -c 9p-read-inbox -s j -l json -d 'One JSON object a line'
complete -c 9p-read-inbox -s w -l wait -d 'Wait for one'
complete -c 9p-read-inbox -a 'user (__anvillm_sessions)'
complete -c Alog -s f -d 'Go on with what comes'
complete -c Alog -a '(__anvillm_sessions)'
complete -c Tell -f -a '(__anvillm_sessions)'

complete -c Assist -f -n __fish_use_subcommand -a 'main prompt log ask context inbox archive message compose daemon'
complete -c Assist -f -n 'not __fish_use_subcommand' -a 'user (__anvillm_sessions)'
complete -c Claude -f -a '(__fish_complete_directories)'
complete -c Kiro -f -a '(__fish_complete_directories)'
