"""The scene's workbench: references, target and the canvas on which the mask is painted, as one component.

`js/` and `workbench.css` run in the browser; `strokes` and `given` read what comes from there, and trust none of it;
`service` answers its questions.
"""
