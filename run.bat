@echo off
rem Installs what is missing and opens RealFill Studio; arguments go to app.py (--port, --host, --runs-dir).
rem REALFILL_TORCH=cpu, cuda, plain or an index address overrides the choice of the PyTorch build.
setlocal EnableExtensions EnableDelayedExpansion
set "ROOT=%~dp0"
set "PY=%ROOT%.venv\Scripts\python.exe"
set "STAMP=%ROOT%.venv\.realfill-run"

if exist "%PY%" goto have_venv
set "BASE="
for %%p in ("py -3" python python3) do (
    if not defined BASE (
        %%~p -c "import sys; sys.exit(sys.version_info < (3, 11))" >nul 2>nul && set "BASE=%%~p"
    )
)
if not defined BASE (
    echo realfill: Python 3.11 or newer is needed and was not found; get it from https://www.python.org/downloads/ 1>&2
    exit /b 2
)
echo realfill: making the environment in .venv
%BASE% -m venv --clear "%ROOT%.venv" || exit /b 2

:have_venv
set "HASH="
for /f "usebackq delims=" %%h in (`certutil -hashfile "%ROOT%requirements.txt" SHA256 ^| findstr /r /v "[^0-9a-f]"`) do set "HASH=%%h %REALFILL_TORCH%"
set "DONE="
if exist "%STAMP%" set /p DONE=<"%STAMP%"
if defined HASH if "%DONE%"=="%HASH%" goto start

set "PIN="
for /f "usebackq delims=" %%t in (`findstr /b "torch==" "%ROOT%requirements.txt"`) do set "PIN=%%t"
set "CHOICE=%REALFILL_TORCH%"
if not defined CHOICE (
    set "CHOICE=cpu"
    nvidia-smi >nul 2>nul && set "CHOICE=cuda"
)
set "INDEX=!CHOICE!"
if "!CHOICE!"=="plain" set "INDEX="
if "!CHOICE!"=="cpu" set "INDEX=https://download.pytorch.org/whl/cpu"
if "!CHOICE!"=="cuda" (
    set "INDEX=https://download.pytorch.org/whl/cu126"
    nvidia-smi | findstr /r /c:"CUDA Version: 1[3-9]" >nul && set "INDEX=https://download.pytorch.org/whl/cu130"
)
if defined INDEX (
    "%PY%" -c "import sys, urllib.request as r; r.urlopen(sys.argv[1] + '/torch/', timeout=5).close()" "!INDEX!" >nul 2>nul
    if errorlevel 1 (
        echo realfill: !INDEX! cannot be reached; taking the plain build of %PIN% instead.
        set "INDEX="
    )
)
if defined INDEX (
    "%PY%" -m pip install "%PIN%" --index-url "!INDEX!" || goto failed
) else (
    "%PY%" -m pip install "%PIN%" || goto failed
)
"%PY%" -m pip install --quiet -r "%ROOT%requirements.txt" || goto failed
> "%STAMP%" echo !HASH!

:start
"%PY%" "%ROOT%app.py" %*
exit /b %ERRORLEVEL%

:failed
echo realfill: not everything could be installed; what pip says above names the cause. Start again to go on. 1>&2
exit /b 2
