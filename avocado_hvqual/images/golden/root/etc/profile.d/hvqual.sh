# SPDX-License-Identifier: GPL-2.0-or-later
# A terminal that is driven by a program: no colours, no questions to it, one plain prompt, whatever the clone is called.
export TERM=dumb LC_ALL=C PS1='[root@golden ~]# '
unset PROMPT_COMMAND HISTFILE
[ -z "$BASH_VERSION" ] || bind 'set enable-bracketed-paste off' 2>/dev/null
