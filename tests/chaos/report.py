def counted(scene, seed):
    for r in scene.rows.values(): print(r.title, r.times, r.sent, r.found, r.recoveries)
